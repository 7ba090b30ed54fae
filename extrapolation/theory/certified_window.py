r"""The smallest window of keys that keeps an error, from the encoding alone.

With logits |q.k| / sqrt K <= M and ||v|| <= v, the output moves by at most
2 v p, where the share p of what is dropped satisfies

  p <= e^{2M} T_w / (B_w + e^{2M} T_w),  B_w = sum_{t<w} e^b, T_w = sum_{t>=w},

with equality for some q, k, v (docs/theory.md, theorem 1). Only how far logits
lie apart and how far values do enter: 2 M may be the span max - min of the
logits, and v the radius of any ball around the values. What is known once the
near keys have been read is in attention/window_bound.py.

Source: Qin et al. 2024, proof of theorem 3.4, arXiv 2307.10156, with B_w in
place of all of B: the dropped share is D / (N + D), D <= e^M T_w and
N >= e^-M B_w, the sums of the far and of the near keys.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import flint
import numpy as np
from flint import arb

from extrapolation.theory import subjects, trf_bounds
from extrapolation.theory.bracket import decider, search
from extrapolation.theory.enclosures import finite_sum
from extrapolation.theory.errors import NotProved
from extrapolation.theory.expression.graph import Node, value_missing

LARGEST = 1e4  # of a logit's bound; its share of weight is e^-20000


@dataclasses.dataclass(frozen=True)
class ErrorBound:
  """What is wanted, and what is known of the attention.

  Attributes:
    error: wanted bound of ||o - o_w||, in the units of v.
    M: bound of |q.k| / sqrt K, or half of the span of the logits.
    v: bound of ||v||, or the radius of a ball around the values.
  """

  error: float
  M: float
  v: float = 1.0


def certified(
  subject: Any,
  params: Mapping | None = None,
  *,
  error: float | int,
  M: float | int | Sequence | np.ndarray,
  v: float | int = 1,
  horizon: int | None = None,
) -> list[int | None]:
  """Smallest window of every head; see `theory.window`."""
  read = subjects.read(subject, params)
  heads = read.heads
  if read.parameters:
    raise value_missing(read.parameters[0])
  bounds = [float(m) for m in np.atleast_1d(M)]
  bounds = bounds * len(heads) if np.ndim(M) == 0 else bounds
  if len(bounds) != len(heads):
    raise ValueError(f'{len(bounds)} values of M for {len(heads)} heads')
  return [
    smallest(head, ErrorBound(float(error), m, float(v)), horizon)
    for head, m in zip(heads, bounds, strict=True)
  ]


def smallest(
  head: Node, bound: ErrorBound, horizon: int | None = None
) -> int | None:
  """The smallest window of one head that keeps the bound, in tokens.

  None where no window is proved to do so for contexts of any length.
  """
  share = allowed(bound.error, bound.M, bound.v)
  if share >= 1:
    return 1
  if horizon is not None:
    return _below(head, share, horizon)
  try:
    return trf_bounds.receptive(head, [share])[0].high
  except NotProved:
    return None


def allowed(error: float | int, M: float | int, v: float | int) -> Fraction:
  """The largest T_w / B with 2 v p <= error, rounded down.

  p = x / (1 + x) with x = e^{2M} T_w / B_w, so T_w / B_w may be up to
  e^{-2M} d / (1 - d), d = error / (2 v).
  """
  if not (error > 0 and 0 <= M <= LARGEST and 0 < v < math.inf):
    raise ValueError(
      f'error = {error}, M = {M}, v = {v}: error > 0, finite M >= 0 and '
      f'v > 0 are needed, and M <= {LARGEST:g}'
    )
  if error >= 2 * v:
    return Fraction(1)
  with flint.ctx.workprec(128):
    d = arb(error) / (2 * arb(v))
    x = (-2 * arb(M)).exp() * d / (1 - d)
    share = (x / (1 + x)).lower()
    mantissa, exponent = share.man_exp()
  return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _below(head: Node, share: Fraction, horizon: int) -> int:
  """The same of the weights below a horizon; all of it is always enough."""
  try:
    sums = finite_sum.Floats(finite_sum.without_constant(head), horizon)
  except NotProved:
    return horizon
  bracket = search(decider(sums.beyond, share))
  return min(bracket.high or horizon, horizon)
