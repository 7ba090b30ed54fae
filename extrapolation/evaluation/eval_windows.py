"""Which windows score which targets, so that every length scores the same."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Integer

from extrapolation import config


@dataclasses.dataclass(frozen=True)
class Window:
  """Inputs are tokens[start : stop - 1], the targets scored [score : stop]."""

  start: int
  score: int
  stop: int


def windows(
  documents: Integer[np.ndarray, ' d'] | Sequence[int],
  length: int,
  protocol: str,
  longest: int,
  targets: int = 0,
) -> list[Window]:
  """The windows of one length, each within one document.

  Each target is scored once, and the targets are the same for every `length`
  up to `longest`: tokens 1, 2, .. of every document, or, for `last:K`, those
  from `longest` - K on, so that each has a full context. `targets` keeps only
  the first so many.

  nonoverlap: disjoint windows. sliding:S: a window every S tokens, which
  scores its last S targets (the first scores all). last:K: the same, but
  without a first window that scores targets of little context.

  Args:
    documents: offsets; document i is tokens[documents[i] : documents[i + 1]].
      (0, total) takes a stream of `total` tokens as one.

  Raises:
    ValueError: no document has `longest` targets; names how many there are.
  """
  step = config.targets_per_window(protocol, length)
  last = protocol.startswith('last')
  first = longest - step + 1 if last else 1
  ends = [int(end) for end in documents]
  most = max((b - a - 1 for a, b in itertools.pairwise(ends)), default=0)
  if most < longest:
    what = 'every document' if len(ends) > 2 else 'the text'
    raise ValueError(
      f'length {longest} is longer than {what}: {max(most, 0)} is the longest '
      'possible'
    )
  plan, scored, longest_scored = [], 0, 0
  for start, end in itertools.pairwise(ends):
    count = max(end - start - first, 0)
    count = min(count, targets - scored) if targets else count
    scored, longest_scored = scored + count, max(longest_scored, count)
    plan += _of_document(start, start + first, count, length, step, last)
  if not last and longest_scored < longest:
    if len(ends) == 2:
      raise ValueError(
        f'length {longest} is longer than eval.tokens = {targets} '
        f'scored targets; raise it to {longest} or more'
      )
    raise ValueError(
      f'length {longest} is longer than each of the documents that hold the '
      f'first eval.tokens = {targets} targets; raise it (0 is all), or give '
      f'lengths up to {longest_scored}'
    )
  return plan


def crossing(
  plan: Sequence[Window], documents: Integer[np.ndarray, ' d']
) -> int:
  """How many windows hold tokens of two documents or more."""
  first, last = (
    np.searchsorted(documents, ends, side='right')
    for ends in ([w.start for w in plan], [w.stop - 1 for w in plan])
  )
  return int((first < last).sum())


def shorter(
  plan: Sequence[Window], documents: Integer[np.ndarray, ' d'], length: int
) -> tuple[int, int]:
  """Scored documents of fewer targets than `length`, and their targets here."""
  scores = [w.score for w in plan]
  of = np.searchsorted(documents, scores, side='right') - 1
  counts = np.bincount(of, [w.stop - w.score for w in plan])
  short = (np.diff(documents)[: len(counts)] - 1 < length) & (counts > 0)
  return int(short.sum()), int(counts[short].sum())


def _of_document(
  document: int, first: int, count: int, length: int, step: int, last: bool
) -> list[Window]:
  """Windows that score `count` targets from `first` on."""
  plan, score, end = [], first, first + count
  while score < end:
    fresh = step if plan or last else length
    stop = min(score + fresh, end)
    # Where a full window would start, also if the text ends within it.
    start = score - 1 if not plan and not last else score + fresh - 1 - length
    plan.append(Window(start, score, stop))
    score = stop
  return plan
