"""All that theory says of a subject, as the record that is printed."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping
from fractions import Fraction

from flint import arb

from extrapolation.theory import (
  certified_window,
  convergence,
  far_share,
  finite_horizon,
  tightness,
  trf_bounds,
  witness,
)
from extrapolation.theory.bracket import Bracket
from extrapolation.theory.certified_window import ErrorBound
from extrapolation.theory.convergence import Verdict
from extrapolation.theory.errors import (
  TheoryError,
  UndefinedTotal,
  UndefinedWeight,
)
from extrapolation.theory.expression.graph import Node, nodes
from extrapolation.theory.finite_horizon import Horizon
from extrapolation.theory.readout import Readout
from extrapolation.theory.shapes import Shapes
from extrapolation.theory.space import Space
from extrapolation.theory.subjects import Subject
from extrapolation.theory.time_limit import limit
from extrapolation.theory.verdicts import Tightness, of_sum

SECONDS = 30.0  # for the receptive fields, or the window, of a head


@dataclasses.dataclass(frozen=True)
class Asked:
  """What is asked of every head.

  Attributes:
    eps: shares by the text that they were given as.
    horizon: N in tokens.
    train: training length in tokens; mass at or beyond it is far.
    window: the smallest windows that keep this error, for contexts of any
      length and for those of at most N tokens.
    M: bound of the logits, for the interval of the share of far keys.
    space: where the keys are; a line if None.
    shapes: in it; what is outside of the trained one is far.
    readout: the trained one, and how many layers read it.
  """

  eps: Mapping[str, Fraction]
  horizon: int
  train: int
  window: ErrorBound | None = None
  M: float | None = None
  space: Space | None = None
  shapes: Shapes | None = None
  readout: Readout | None = None


def record(subject: Subject, asked: Asked) -> dict:
  """Verdict, receptive fields and horizon form of every head.

  docs/theory.md has what each field is.

  Raises:
    ValueError: no weight at large distances, or N too large to sum.
  """
  if subject.not_judged:
    verdict = Verdict('not judged', None, subject.not_judged)
    heads = [_said(asked, verdict) for _ in range(subject.H)]
  else:
    known = {head: _head(head, asked) for head in dict.fromkeys(subject.heads)}
    heads = [dict(known[head]) for head in subject.heads]
  said = _tight(subject, heads, asked)
  where = subject.attended or [None] * len(heads)
  for head, tight, at in zip(heads, said, where, strict=True):
    of = dict(layer=at and at.layer, part=at and at.text)
    head['tightness'] = of | dataclasses.asdict(tight)
  whole = tightness.composed(subject.all_attended, said)
  return dict(
    subject=subject.name,
    geometry='line',
    parameters=subject.parameters,
    composed=dict(
      verdict=whole.verdict, condition=whole.condition, argument=whole.argument
    ),
    heads=heads,
  )


def _tight(
  subject: Subject, heads: list[dict], asked: Asked
) -> list[Tightness]:
  """Tightness of every head, which without clock and heat is its verdict."""
  if subject.not_judged and not subject.attended:
    silent = Tightness('not judged', None, subject.not_judged)
    return [silent] * subject.H
  if subject.not_judged:
    known = {
      head: tightness.judge(head, asked.M, asked.eps)
      for head in dict.fromkeys(subject.attended)
    }
    return [known[head] for head in subject.attended]
  return [
    of_sum(Verdict(head['verdict'], head['condition'], head['argument']))
    for head in heads
  ]


def _head(root: Node, asked: Asked) -> dict:
  start = time.monotonic()
  notes: list[str] = []
  try:
    verdict = convergence.judge(root)
  except UndefinedWeight as e:
    raise ValueError(f'no weight at large distances: {e}') from e
  out, eps = _said(asked, verdict), [*asked.eps.values()]
  is_open = any(node.op == 'param' for node in nodes(root))
  brackets: list[Bracket] = []  # none of a sum not known to have a total
  if verdict.verdict == 'diverges' or (
    verdict.verdict == 'converges' and not is_open
  ):
    shares = [*eps, witness.HALF]
    brackets, total = summed(
      lambda: trf_bounds.summed(root, shares, verdict), len(shares), notes
    )
    out['total'] = None if total is None else finite_horizon.digits(total)
  ends = map(dataclasses.asdict, brackets[: len(eps)])
  out['trf'] = dict(zip(asked.eps, ends, strict=False))
  if not is_open:
    seen = finite_horizon.horizon(root, asked.horizon, asked.train, eps)
    if seen.note is not None and seen.note not in notes:
      notes.append(seen.note)
    below = seen.trf and dict(zip(asked.eps, seen.trf, strict=True))
    out['horizon'] |= dict(
      far_mass=seen.far_mass, exponent=seen.exponent, trf=below
    )
    half = brackets[-1] if brackets else Bracket(1, None)
    out['far'] = _far(root, asked, seen, half)
    if asked.window is not None:
      out['window'] |= _windows(root, asked.window, asked.horizon)
  out['seconds'] = round(time.monotonic() - start, 4)
  return out | dict(note='; '.join(notes) or None)


def _said(asked: Asked, verdict: Verdict) -> dict:
  """A record without any number of the weights."""
  margin = verdict.margin
  window = {}
  if asked.window is not None:
    window['window'] = dict(
      error=asked.window.error, any_length=None, n=asked.horizon, below=None
    )
  return dict(
    verdict=verdict.verdict,
    condition=verdict.condition,
    argument=verdict.argument,
    margin=float(margin) if margin is not None and margin.is_number else None,
    trf={},
    total=None,
    horizon=dict(n=asked.horizon, far_mass=None, exponent=None, trf=None),
    far=None,
    **window,
    note=None,
    seconds=0.0,
  )


def summed(
  ask: Callable[[], tuple[list[Bracket], arb]], n: int, notes: list[str]
) -> tuple[list[Bracket], arb | None]:
  """n brackets and the sum, in the time there is; why not goes to `notes`."""
  try:
    with limit(SECONDS):
      return ask()
  except UndefinedTotal as e:
    notes.append(str(e))
    return [], None
  except (TimeoutError, ValueError) as e:
    notes.append(str(e) or f'not bracketed within {SECONDS:g} s')
    return [Bracket(1, None)] * n, None


def _far(root: Node, asked: Asked, seen: Horizon, half: Bracket) -> dict:
  """What is known of the far mass."""
  share = None
  if asked.M is not None and seen.far_mass is not None:
    share = far_share.printed(seen.far_mass, asked.M)
  least = 1 if seen.doubled else asked.horizon + 1
  try:
    n_half = witness.n_half(root, asked.train, half)
  except TheoryError:
    n_half = Bracket(least, None)
  if n_half.low is not None and n_half.high is None:
    n_half = Bracket(max(n_half.low, least), None)
  return dict(
    train=asked.train,
    mean=seen.mean,
    share=share,
    n_half=dataclasses.asdict(n_half),
    reach=seen.reach,
  )


def _windows(root: Node, bound: ErrorBound, n: int) -> dict:
  out: dict[str, int | None] = dict(any_length=None, below=None)
  with contextlib.suppress(TimeoutError, UndefinedTotal):  # is in the note
    out['below'] = certified_window.smallest(root, bound, n)
    with limit(SECONDS):
      out['any_length'] = certified_window.smallest(root, bound)
  return out
