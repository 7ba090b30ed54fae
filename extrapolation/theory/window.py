r"""How little attention loses by seeing the nearest w keys only.

With logits |q.k| / sqrt K <= M and ||v|| <= v, the output moves by at most
2 v p, where the share p of what is dropped satisfies

  p <= e^{2M} T_w / (B_w + e^{2M} T_w),  B_w = sum_{t<w} e^b, T_w = sum_{t>=w},

and, once the near keys have been read, with Z = sum_{t<w} exp(logit + b) and
every logit of this query at most m,

  p <= e^m T_w / (Z + e^m T_w).

The first needs no data; the second knows how much the near keys received and
is the sharper one by up to a factor e^{2M}. bound.py has both on arrays.

Source: Qin et al. 2024, proof of theorem 3.4, arXiv 2307.10156, with B_w in
place of all of B: the dropped share is D / (N + D), D <= e^M T_w and
N >= e^-M B_w, the sums of the far and of the near keys.
"""

import math
from collections.abc import Mapping
from fractions import Fraction

# The package imports this file for its function `window`: sympy and jax are
# imported where they are used, so that the package itself stays light.


def certified(
  subject,
  params: Mapping | None = None,
  *,
  error: float | int,
  M,
  v: float | int = 1,
  horizon: int | None = None,
) -> list[int | None]:
  """Smallest window of every head whose error is at most `error`.

  Args:
    subject, params: as in `theory.verdict`.
    error: wanted bound of ||o - o_w||, in the units of v.
    M: bound of |q.k| / sqrt K; one number, or one a head.
    v: bound of ||v||.
    horizon: contexts have at most so many tokens; None for any length.

  Returns:
    Window in tokens a head (w keys: distances 0 .. w - 1); None where no
    window does it for every length, as when the sum diverges. With a horizon
    there is always one, at most the horizon itself.

  Raises:
    ValueError: error, M or v out of range, or as `theory.verdict`.
  """
  import numpy as np

  from extrapolation.theory import subject as subjects

  heads = subjects.heads(subject, params)
  bounds = [M] * len(heads) if np.ndim(M) == 0 else [*M]
  if len(bounds) != len(heads):
    raise ValueError(f'{len(bounds)} values of M for {len(heads)} heads')
  return [
    _window(head, allowed(error, float(bound), v), horizon)
    for head, bound in zip(heads, bounds, strict=True)
  ]


def allowed(error: float | int, M: float | int, v: float | int) -> Fraction:
  """The largest T_w / B with 2 v p <= error, rounded down.

  p = x / (1 + x) with x = e^{2M} T_w / B_w, so T_w / B_w may be up to
  e^{-2M} d / (1 - d), d = error / (2 v).
  """
  import flint
  from flint import arb

  if not (error > 0 and M >= 0 and v > 0 and math.isfinite(M)):
    raise ValueError(
      f'error = {error}, M = {M}, v = {v}: error > 0, finite M >= 0 and v > 0 '
      'are needed'
    )
  if error >= 2 * v:
    return Fraction(1)
  with flint.ctx.workprec(128):
    d = arb(error) / (2 * arb(v))
    x = (-2 * arb(M)).exp() * d / (1 - d)
    share = (x / (1 + x)).lower()
    mantissa, exponent = share.man_exp()
  return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _window(head, share: Fraction, horizon: int | None) -> int | None:
  from extrapolation.theory import field, series
  from extrapolation.theory.oracle import Undecided

  if share >= 1:
    return 1
  if horizon is not None:
    return _below(head, float(share), horizon)
  verdict = series.judge(head)
  if verdict.verdict != 'converges':
    return None
  try:
    (bracket,) = field.trf(head, verdict.rung, [share])
  except Undecided:
    return None
  return bracket.high


def _below(head, share, horizon):
  """float64 sums over the horizon, with room for their rounding."""
  import numpy as np

  from extrapolation.theory import field, numeric

  b = numeric.log_weights(head, np.arange(horizon, dtype=np.float64))
  if np.isnan(b).any() or np.max(b) == np.inf:
    raise ValueError('a weight below the horizon is infinite or undefined')
  if np.max(b) == -np.inf:
    raise ValueError('every weight below the horizon is 0')
  _, (w,) = field.coverage(np.exp(b - np.max(b)), [share * (1 - 1e-9)])
  return int(w)
