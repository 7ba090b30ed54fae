"""All that theory says of a subject, as the record that is printed."""

import time
from collections.abc import Mapping, Sequence
from fractions import Fraction

from extrapolation.theory import field, numeric, series
from extrapolation.theory.expression import Node, nodes
from extrapolation.theory.limit import limit
from extrapolation.theory.oracle import Undecided, Undefined
from extrapolation.theory.sums import Undefined as InfiniteWeight

SECONDS = 30.0  # for the receptive fields of a head


def record(
  subject: str,
  heads: Sequence[Node],
  eps: Mapping[str, Fraction],
  horizon: int,
  train: int,
) -> dict:
  """Verdict, receptive fields and horizon form of every head.

  Args:
    subject: what the heads are called.
    heads: their log weights.
    eps: shares by the text that they were given as.
    horizon: N in tokens.
    train: training length in tokens; mass at or beyond it is far.
  """
  known = {}
  for head in heads:
    if head not in known:
      known[head] = _head(head, eps, horizon, train)
  return dict(subject=subject, heads=[known[head] for head in heads])


def _head(root, eps, n, train):
  start = time.monotonic()
  notes = []
  try:
    found = series.judge(root)
  except Undefined as e:
    raise ValueError(f'no weight at large distances: {e}') from e
  fields = _fields(root, found, eps, notes)
  seen = _horizon(root, n, train, eps, notes)
  margin = found.margin
  return dict(
    verdict=found.verdict,
    condition=found.condition,
    argument=found.argument,
    margin=float(margin) if margin is not None and margin.is_number else None,
    trf=fields,
    horizon=seen,
    note='; '.join(notes) or None,
    seconds=round(time.monotonic() - start, 4),
  )


def _fields(root, found, eps, notes):
  if found.verdict == 'diverges':
    return {name: dict(low=None, high=None) for name in eps}
  if found.verdict != 'converges' or _open(root):
    return {}
  try:
    with limit(SECONDS):
      brackets = field.trf(root, found.rung, list(eps.values()))
  except InfiniteWeight as e:
    notes.append(str(e))
    return {}
  except (TimeoutError, Undecided, ValueError) as e:
    why = str(e) or f'not bracketed within {SECONDS:g} s'
    notes.append(why)
    return {name: dict(low=1, high=None) for name in eps}
  return {
    name: dict(low=b.low, high=b.high)
    for name, b in zip(eps, brackets, strict=True)
  }


def _open(root):
  """Whether a parameter has no value."""
  return any(node.op == 'param' for node in nodes(root))


def _horizon(root, n, train, eps, notes):
  if _open(root):
    return dict(n=n, far_mass=None, exponent=None, trf=None)
  seen = numeric.horizon(root, n, train, [float(e) for e in eps.values()])
  if seen.trf is None and not notes:
    notes.append('a weight below the horizon is infinite or undefined')
  fields = None
  if seen.trf is not None:
    fields = dict(zip(eps, seen.trf, strict=True))
  return dict(n=n, far_mass=seen.far_mass, exponent=seen.exponent, trf=fields)
