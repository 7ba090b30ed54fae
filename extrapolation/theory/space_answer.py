"""All that theory says of a subject in a space, as the record that is printed.

Numbers of a line, a horizon in tokens and windows of keys, are not in it.
"""

import dataclasses
import time

from extrapolation.geometry import sizes
from extrapolation.theory import (
  answer,
  convergence,
  readout,
  shapes,
  tightness,
)
from extrapolation.theory.answer import Asked
from extrapolation.theory.convergence import Verdict
from extrapolation.theory.errors import TheoryError, UndefinedWeight
from extrapolation.theory.expression.graph import Node, nodes
from extrapolation.theory.finite_horizon import digits
from extrapolation.theory.space import NO_SUM, Space
from extrapolation.theory.subjects import Subject


def record(subject: Subject, asked: Asked) -> dict:
  """Verdict, receptive fields and far mass of every head.

  docs/theory.md has what each field is.

  Raises:
    ValueError: no weight at large distances.
  """
  space = asked.space
  assert space is not None
  attended = subject.all_attended
  if subject.not_judged:
    why = space.not_judged(subject.not_judged)
    silent = Verdict('not judged', None, why)
    heads = [_said(silent, silent) for _ in range(subject.H)]
  else:
    known = {b: _head(b, space, asked) for b in dict.fromkeys(subject.heads)}
    heads = [dict(known[b]) for b in subject.heads]
  tight = {head: space.tight(head, asked.M) for head in dict.fromkeys(attended)}
  said = [tight[head] for head in attended]
  where = subject.attended or [None] * len(heads)
  for head, one, at in zip(heads, said, where, strict=True):
    of = dict(layer=at and at.layer, part=at and at.text)
    head['tightness'] = of | dataclasses.asdict(one)
  whole = tightness.composed(attended, said)
  return dict(
    subject=subject.name,
    geometry=space.label,
    keys=space.keys,
    shapes=_shapes(asked),
    parameters=subject.parameters,
    composed=dict(
      verdict=whole.verdict, condition=whole.condition, argument=whole.argument
    ),
    heads=heads,
  )


def _shapes(asked: Asked) -> dict | None:
  of = asked.shapes
  if of is None:
    return None
  return dict(
    train=sizes.write(of.train),
    test=sizes.write(of.test),
    keys_train=int(of.near.sum()),
    keys_test=int(of.all.sum()),
    layers=asked.readout and asked.readout.layers,
  )


def _head(b: Node, space: Space, asked: Asked) -> dict:
  start = time.monotonic()
  notes: list[str] = []
  try:
    verdict, line = space.judge(b), convergence.judge(b)
  except UndefinedWeight as e:
    raise ValueError(f'no weight at large distances: {e}') from e
  out, eps = _said(verdict, line), [*asked.eps.values()]
  is_open = any(node.op == 'param' for node in nodes(b))
  converges = verdict.verdict == 'converges' and not is_open
  if converges and not space.geometry.exact:
    notes.append(NO_SUM)
  elif converges or verdict.verdict == 'diverges':
    brackets, total = answer.summed(
      lambda: space.summed(b, eps, verdict), len(eps), notes
    )
    ends = map(dataclasses.asdict, brackets)
    out['trf'] = dict(zip(asked.eps, ends, strict=False))
    out['total'] = None if total is None else digits(total)
  if asked.shapes is not None and not is_open:
    try:
      far = shapes.far(space, asked.shapes, b, asked.M)
      read = asked.readout
      unread = None if read is None else readout.unread(space, read, b)
      out['shapes'] = dataclasses.asdict(far) | dict(unread=unread)
    except TheoryError as e:
      notes.append(str(e))
  out['seconds'] = round(time.monotonic() - start, 4)
  return out | dict(note='; '.join(dict.fromkeys(notes)) or None)


def _said(verdict: Verdict, line: Verdict) -> dict:
  """A record without any number of the weights."""
  margin = verdict.margin
  return dict(
    verdict=verdict.verdict,
    condition=verdict.condition,
    argument=verdict.argument,
    margin=float(margin) if margin is not None and margin.is_number else None,
    line=dict(verdict=line.verdict, condition=line.condition),
    trf={},
    total=None,
    shapes=None,
    note=None,
    seconds=0.0,
  )
