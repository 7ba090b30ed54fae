"""The cumulative normalised gradient, end to end.

s_m = ||dv / de_m|| / sum_n ||dv / de_n||, v the last query's output and e_m the
input embedding of token m; the field is the shortest suffix that holds more
than 1 - eps of it.

Source: Chi et al. 2023, Dissecting Transformer Length Extrapolation via the
Lens of Receptive Field Analysis, arXiv 2212.10356.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from extrapolation import config
from extrapolation.model import Network, logits
from extrapolation.receptive_field.estimators import forward_pass
from extrapolation.receptive_field.estimators.settings import Settings

FORMULA = '(N-1) (n 2(4D^2 + 2DF) + 2.5 * 4D n(n+1)/2) + 6 n D^2 + 2 D V'


def scalar(
  params: dict,
  x: Float[Array, 'B D'],
  targets: Int[Array, ' B'],
  output: str,
) -> Float[Array, ' B']:
  """v: the largest logit, or -ln p(target), of each hidden state."""
  z = logits(params, x)
  return z.max(-1) if output == 'logit' else forward_pass.nats(z, targets)


def make(network: Network, settings: Settings) -> forward_pass.Estimator:
  """Leaves `gradient` [B, n], of sum 1 per window."""
  del network

  def run(
    params: dict, bias: Any, batch: Array, reference: forward_pass.ForwardPass
  ) -> dict[str, Array]:
    del bias

    def total(x):
      return scalar(params, x, batch[:, -1], settings.output).sum()

    (g,) = reference.vjp(jax.grad(total)(reference.x))
    size = jnp.linalg.norm(g, axis=-1).reshape(len(batch), -1)
    return dict(gradient=jnp.flip(size, 1) / size.sum(1, keepdims=True))

  return run


def flops(sizes: config.Network, V: int, settings: Settings) -> int:
  n, D = settings.length, sizes.D
  layer = n * 2 * (4 * D**2 + 2 * D * sizes.F) + 5 * D * n * (n + 1)
  return (sizes.N - 1) * layer + 6 * n * D**2 + 2 * D * V
