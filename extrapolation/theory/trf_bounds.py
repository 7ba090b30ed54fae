r"""Theoretical receptive field: integer brackets that are proofs.

n(eps) = inf{ j : sum_{t<j} e^b(t) > (1 - eps) B } = inf{ j : T_j < eps B },
B = sum_{t>=0} e^b(t), T_j = sum_{t>=j} e^b(t), j and t in tokens.

Source: Qin et al. 2024, Exploring Transformer Extrapolation, arXiv 2307.10156.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol, runtime_checkable

import flint
import numpy as np
from jaxtyping import Float

from extrapolation.theory import convergence
from extrapolation.theory.bracket import (
  INFINITE,
  LARGEST,
  Bracket,
  decider,
  search,
)
from extrapolation.theory.enclosures import (
  ball,
  closed_form,
  finite_sum,
  near_sum,
  sums,
)
from extrapolation.theory.errors import NotProved
from extrapolation.theory.expression import slope
from extrapolation.theory.expression.graph import Graph, Node, nodes, rebuild

# Exactly so many digits, and so small an exponent, as is quickly written out.
SHARE = re.compile(r'[0-9./+ -]{1,400}([eE][+-]?[0-9]{1,3})?')


@runtime_checkable
class Tails(Protocol):
  """Enclosures of every T_j."""

  def beyond(self, j: int, bits: int = 0) -> flint.arb:
    """Encloses T_j, with `bits` more than the working precision asks for."""
    ...


def share(eps: str | float | Fraction) -> Fraction:
  """eps as an exact decimal: '0.1' and 0.1 are one tenth.

  Raises:
    ValueError: not a number in (0, 1).
  """
  try:
    if isinstance(eps, str) and not SHARE.fullmatch(eps):
      raise ValueError
    out = Fraction(repr(eps) if isinstance(eps, float) else eps)
  except (ValueError, TypeError, ZeroDivisionError):
    raise ValueError(
      f'eps = {str(eps)[:80]!r} is not a number in (0, 1) of at most 400 digits'
    ) from None
  if not 0 < out < 1:
    raise ValueError(f'eps = {eps}: a share in (0, 1) is needed')
  return out


def receptive(
  root: Node,
  eps: Sequence[Fraction],
  verdict: convergence.Verdict | None = None,
) -> list[Bracket]:
  """n(eps) of a head with its verdict: INFINITE when the sum diverges.

  Raises:
    NotProved: unknown, or conditional on parameters without a value.
  """
  return summed(root, eps, verdict)[0]


def summed(
  root: Node,
  eps: Sequence[Fraction],
  verdict: convergence.Verdict | None = None,
) -> tuple[list[Bracket], flint.arb]:
  """`receptive` and what encloses B, which may be infinite.

  Raises:
    NotProved: as `receptive`.
  """
  verdict = verdict or convergence.judge(root)
  if verdict.verdict == 'diverges':
    return [INFINITE] * len(eps), flint.arb.pos_inf()
  if verdict.verdict != 'converges':
    raise NotProved(
      f'no receptive field: {verdict.verdict}, {verdict.argument}'
    )
  smallest = min(eps, default=Fraction(1, 1000))
  enclosed = tails(
    finite_sum.without_constant(root), verdict.log_depth, smallest
  )
  fields = of_tails(enclosed, eps)
  constant = root.data[0] if root.op == 'add' else Fraction(0)
  with sums.precision():
    unit = getattr(enclosed, 'unit', flint.arb(1)) * ball.number(constant).exp()
    return fields, enclosed.beyond(0) * unit


def trf(
  root: Node, log_depth: int = 0, eps: Sequence[Fraction] = (Fraction(1, 100),)
) -> list[Bracket]:
  """n(eps) of one convergent head, for each eps in (0, 1).

  Args:
    root: its log weight, an exact expression without free parameters.
    log_depth: of its verdict.
    eps: shares of the total weight, exact.

  Raises:
    UndefinedTotal: an infinite or undefined weight, or every weight is 0.
    NotProved: no bound of the tail was found.
  """
  root = finite_sum.without_constant(root)
  return of_tails(tails(root, log_depth, min(eps)), eps)


def of_tails(enclosed: Tails, eps: Sequence[Fraction]) -> list[Bracket]:
  """n(eps) of weights by their tails; see `trf`."""
  out = []
  if not enclosed.beyond(0) > 0:
    raise NotProved('no lower bound above 0 of the total was found')
  while True:
    out = [
      search(
        decider(enclosed.beyond, e, getattr(enclosed, 'decide', None)),
        getattr(enclosed, 'guess', _one)(e),
      )
      for e in eps
    ]
    finer = getattr(enclosed, 'finer', None)
    settled = all(b.sharp or (b.low or 0) > LARGEST for b in out)
    if settled or finer is None or not finer():
      return out


def _one(eps: Fraction) -> int:
  del eps
  return 1


def tails(root: Node, log_depth: int, smallest: Fraction) -> Tails:
  """An object whose `beyond(j)` encloses T_j; T_0 is B. See `trf`."""
  root = slope.collected(root)
  form = closed_form.recognise(root) or closed_form.sloped(root)
  if form is not None:
    return form
  n = finite_sum.length(root)
  if n is not None:
    return finite_sum.Exact(root, n)
  m = convergence.period(root)
  if m is not None:
    return _Classes(root, m, log_depth, smallest)
  return near_sum.NearSums(root, log_depth, smallest)


class _Classes:
  """Steps floor(t / m): W(s) = sum_{r<m} w(m s + r) is smooth in s."""

  def __init__(self, root: Node, m: int, log_depth: int, smallest: Fraction):
    graph = Graph()
    (t,) = (n for n in nodes(root) if n.op == 't')
    parts = [
      slope.collected(
        rebuild(graph, root, {t: graph.total([(m, graph.t), (r, graph.one)])})
      )
      for r in range(m)
    ]
    self.programs = [ball.Program(p) for p in parts]
    whole = graph.total([(1, graph.unary('exp', p)) for p in parts])
    self.sums = sums.Sums(graph.unary('log', whole), log_depth, smallest)

  def beyond(self, j: int, bits: int = 0) -> flint.arb:
    """Encloses T_j."""
    s, r = divmod(j, len(self.programs))
    if r == 0:
      return self.sums.beyond(s)
    with sums.precision(96 + j.bit_length()):
      w = [p.at(s).exp() for p in self.programs[r:]]
      return self.sums.beyond(s + 1) + sum(w, flint.arb(0))


def coverage(
  weights: Float[np.ndarray, '*heads n'], eps: Sequence[float] = (0.01,)
) -> tuple[Float[np.ndarray, '*heads n'], np.ndarray]:
  """Cumulative share and receptive field of measured or finite weights.

  n(eps) = min{ j : sum_{t<j} w_t > (1 - eps) sum_t w_t }: the definition of
  `trf`, strict, over the distances given. float64 throughout.

  Args:
    weights: >= 0, by distance 0, 1, ... along the last axis.
    eps: shares in (0, 1).

  Returns:
    share [.., n] with share[.., j] = sum_{t<=j} w_t / sum w, and n(eps)
    [.., len(eps)] integers, in tokens.

  Raises:
    ValueError: negative, infinite or NaN weights, or none positive.
  """
  w = np.asarray(weights, np.float64)
  if not np.all(np.isfinite(w)) or np.any(w < 0):
    raise ValueError('weights must be finite and >= 0')
  beyond = np.cumsum(w[..., ::-1], -1)[..., ::-1]  # sum_{t >= j}, small last
  total = beyond[..., :1]
  if np.any(total <= 0):
    raise ValueError('all weights of a head are zero')
  after = np.concatenate([beyond[..., 1:], np.zeros_like(total)], -1)
  field = [np.sum(after >= e * total, -1) + 1 for e in eps]
  return 1 - after / total, np.stack(field, -1)
