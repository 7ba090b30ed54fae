r"""The network's field from its layers' kernels.

A layer whose mean attention gives distance t the weight K_l(t) and whose
residual keeps the share s_l moves information by the kernel s_l delta_0 + (1 -
s_l) K_l; layers convolve. A hard window of w in each of R layers reaches
R (w - 1) + 1 tokens.
"""

import numpy as np
from jaxtyping import Float


def compose(
  kernels: Float[np.ndarray, '*R N n'], share: Float[np.ndarray, '*R N'] | float
) -> Float[np.ndarray, '*R n']:
  """Convolves the layers' kernels, sum 1 each, on distances below n."""
  n = kernels.shape[-1]
  share = np.broadcast_to(share, kernels.shape[:-1])[..., None]
  step = kernels / kernels.sum(-1, keepdims=True) * (1 - share)
  step[..., :1] += share
  full = step[..., 0, :]
  for i in range(1, step.shape[-2]):
    parts = (np.fft.rfft(x, 2 * n) for x in (full, step[..., i, :]))
    full = np.fft.irfft(np.prod([*parts], axis=0), 2 * n)[..., :n]
  # Beyond what the layers reach a transform leaves rounding: none of it.
  widest = n - 1 - np.argmax(step[..., ::-1] > 0, -1)
  reach = widest.sum(-1, keepdims=True)
  return np.maximum(np.where(np.arange(n) <= reach, full, 0), 0)
