"""All that theory says of a subject, as the record that is printed."""

import time
from collections.abc import Mapping, Sequence
from fractions import Fraction

from extrapolation.theory import (
  certified_window,
  convergence,
  far_share,
  finite_horizon,
  trf_bounds,
  witness,
)
from extrapolation.theory.certified_window import ErrorBound
from extrapolation.theory.convergence import Verdict
from extrapolation.theory.errors import (
  UndefinedTotal,
  UndefinedWeight,
)
from extrapolation.theory.expression.graph import Node, nodes
from extrapolation.theory.time_limit import limit
from extrapolation.theory.trf_bounds import Bracket

HALF = ''  # among the names of eps: no text that a user gives
SECONDS = 30.0  # for the receptive fields, or the window, of a head


def record(
  subject: str,
  heads: Sequence[Node],
  eps: Mapping[str, Fraction],
  horizon: int,
  train: int,
  window: ErrorBound | None = None,
  M: float | None = None,
) -> dict:
  """Verdict, receptive fields and horizon form of every head.

  Args:
    subject: what the heads are called.
    heads: their log weights.
    eps: shares by the text that they were given as.
    horizon: N in tokens.
    train: training length in tokens; mass at or beyond it is far.
    window: adds the smallest windows that keep an error, for contexts of any
      length and for those of at most N tokens.
    M: bound of the logits, for the interval of the true far share.

  Raises:
    ValueError: no weight at large distances, or N too large to sum.
  """
  known = {}
  for head in heads:
    if head not in known:
      known[head] = _head(head, eps, horizon, train, M)
      if window is not None:
        known[head]['window'] = _windows(head, window, horizon)
  return dict(subject=subject, heads=[known[head] for head in heads])


def _head(
  root: Node,
  eps: Mapping[str, Fraction],
  n: int,
  train: int,
  M: float | None = None,
) -> dict:
  start = time.monotonic()
  notes = []
  try:
    verdict = convergence.judge(root)
  except UndefinedWeight as e:
    raise ValueError(f'no weight at large distances: {e}') from e
  fields = _fields(root, verdict, {**eps, HALF: witness.HALF}, notes)
  half = Bracket(**fields.pop(HALF, dict(low=1, high=None)))
  seen = _horizon(root, n, train, eps, notes)
  margin = verdict.margin
  return dict(
    verdict=verdict.verdict,
    condition=verdict.condition,
    argument=verdict.argument,
    margin=float(margin) if margin is not None and margin.is_number else None,
    trf=fields,
    horizon=seen,
    far=None
    if _open(root)
    else far_share.record(root, n, train, seen['far_mass'], half, M),
    note='; '.join(notes) or None,
    seconds=round(time.monotonic() - start, 4),
  )


def _windows(root: Node, bound: ErrorBound, n: int) -> dict:
  below = certified_window.smallest(root, bound, n)
  try:
    with limit(SECONDS):
      any_length = certified_window.smallest(root, bound)
  except TimeoutError:
    any_length = None
  return dict(error=bound.error, any_length=any_length, n=n, below=below)


def _fields(
  root: Node, verdict: Verdict, eps: Mapping[str, Fraction], notes: list[str]
) -> dict:
  if verdict.verdict == 'diverges':
    return {name: dict(low=None, high=None) for name in eps}
  if verdict.verdict != 'converges' or _open(root):
    return {}
  try:
    with limit(SECONDS):
      brackets = trf_bounds.trf(root, verdict.log_depth, list(eps.values()))
  except UndefinedTotal as e:
    notes.append(str(e))
    return {}
  except (TimeoutError, ValueError) as e:
    why = str(e) or f'not bracketed within {SECONDS:g} s'
    notes.append(why)
    return {name: dict(low=1, high=None) for name in eps}
  return {
    name: dict(low=b.low, high=b.high)
    for name, b in zip(eps, brackets, strict=True)
  }


def _open(root: Node) -> bool:
  """Whether a parameter has no value."""
  return any(node.op == 'param' for node in nodes(root))


def _horizon(
  root: Node, n: int, train: int, eps: Mapping[str, Fraction], notes: list[str]
) -> dict:
  if _open(root):
    return dict(n=n, far_mass=None, exponent=None, trf=None)
  seen = finite_horizon.horizon(root, n, train, list(eps.values()))
  if seen.note is not None and seen.note not in notes:
    notes.append(seen.note)
  fields = None
  if seen.trf is not None:
    fields = dict(zip(eps, seen.trf, strict=True))
  return dict(n=n, far_mass=seen.far_mass, exponent=seen.exponent, trf=fields)
