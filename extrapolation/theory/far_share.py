r"""Far mass: the share of the weight that lies beyond a length, and its reach.

F_i = T_{L,i} / B_i, B_i = sum_{t<i} e^{b(t)}, T_{L,i} = B_i - B_L, is the share
of the keys beyond L when logits say nothing. With logits whose largest and
smallest differ by osc the share p is not far from it:

  |logit p - logit F| <= osc  (osc <= 2 M where |logit| <= M),

with equality for far keys all at one logit and near keys all at another
(docs/theory.md, theorem 4). A key at distance t holds half of n keys' weight
if its logit exceeds the others' by its reach ln(B_n - w(t)) - b(t), at most

  Delta_n(t) = ln B_n - b(t)  nats.
"""

from typing import Any

import flint
import numpy as np
from flint import arb
from jaxtyping import Float
from scipy import special

from extrapolation.theory import finite_horizon, trf_bounds, witness
from extrapolation.theory.enclosures import finite_sum
from extrapolation.theory.enclosures.ball import PRECISION, Program
from extrapolation.theory.errors import TheoryError
from extrapolation.theory.expression.graph import Node


def interval(
  F: float | Float[np.ndarray, '...'], osc: float | Float[np.ndarray, '...']
) -> tuple[Float[np.ndarray, '...'], Float[np.ndarray, '...']]:
  """s(logit F - osc), s(logit F + osc): where the share of far keys lies."""
  x = special.logit(np.asarray(F, np.float64))
  return special.expit(x - osc), special.expit(x + osc)


def record(
  root: Node,
  n: int,
  train: int,
  far_mass: float | None,
  half: trf_bounds.Bracket,
  M: float | None = None,
) -> dict:
  """What is known of the far mass of one head, for JSON.

  train: L, in tokens.
  mean: of F_i over i = 1 .. n, what windows of n tokens score.
  share: [low, high] of the true share of n keys, if |logit| <= M.
  n_half: {low, high} of min{i : B_i >= 2 B_L}, in tokens; None, None is never.
  reach: nats; trained Delta_L(L - 1), at_train Delta_n(L), at_end
    Delta_n(n - 1). None is infinite, or not proved.

  Args:
    root: the log weight, without free parameters.
    n, train: in tokens.
    far_mass: F_n.
    half: bracket of n(1/2).
    M: bound of the logits, if one is given.
  """
  share = None
  if M is not None and far_mass is not None:
    share = [float(f'{x:.9g}') for x in interval(far_mass, 2 * M)]
  out: dict[str, Any] = dict(train=train, mean=None, share=share)
  reach = dict.fromkeys(('trained', 'at_train', 'at_end'))
  root, least = finite_sum.without_constant(root), 1
  try:
    sums = finite_sum.Floats(root, n)
    out['mean'] = finite_horizon.digits(mean(sums, train))
    low, high = sums.prefix()
    reach = reaches(root, sums.top, (low, high), train)
    if n > train and high[n] < 2 * low[train]:
      least = n + 1
  except TheoryError:
    pass  # what is not proved is None
  try:
    doubled = witness.n_half(root, train, half)
  except TheoryError:
    doubled = trf_bounds.Bracket(least, None)
  if doubled.low is not None and doubled.high is None:
    doubled = trf_bounds.Bracket(max(doubled.low, least), None)
  out['n_half'] = dict(low=doubled.low, high=doubled.high)
  return out | dict(reach=reach)


def mean(sums: finite_sum.Floats, train: int) -> arb:
  """Encloses the mean of F_i = T_{L,i} / B_i over i = 1 .. n; F_i = 0 to L."""
  n = len(sums.weights[0])
  if n <= train:
    return arb(0)
  far, all_ = sums.prefix(train), sums.prefix()
  with np.errstate(divide='ignore', invalid='ignore'):
    low = np.fmax(far[0] / all_[1][train:], 0).sum() / n
    high = np.fmin(far[1] / all_[0][train:], 1).sum() / n
  slack = 2 * n * np.finfo(float).eps  # of quotients and sums, all >= 0
  return arb(float(low * (1 - slack))).union(arb(float(high * (1 + slack))))


def reaches(
  root: Node, top: float, B: tuple[np.ndarray, np.ndarray], train: int
) -> dict[str, float | None]:
  """The reach of the module, in nats; top is the log of the unit of B."""
  n, program = len(B[0]) - 1, Program(root)

  def delta(i: int, t: int) -> float | None:
    if not 0 <= t < i <= n:
      return None
    with flint.ctx.workprec(PRECISION):
      total = arb(float(B[0][i])).union(arb(float(B[1][i])))
      return finite_horizon.digits(top + total.log() - program.at(t))

  return dict(
    trained=delta(train, train - 1),
    at_train=delta(n, train),
    at_end=delta(n, n - 1),
  )
