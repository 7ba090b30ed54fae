"""Which windows score which targets, so that every length scores the same."""

import dataclasses

from extrapolation import config


@dataclasses.dataclass(frozen=True)
class Window:
  """Inputs are tokens[start : stop - 1], the targets scored [score : stop]."""

  start: int
  score: int
  stop: int


def windows(
  total: int, length: int, protocol: str, longest: int, targets: int = 0
) -> list[Window]:
  """The windows of one length over a stream of `total` tokens.

  Each target is scored once, and the targets are the same for every `length`
  up to `longest`: 1 .. total - 1, or, for `last:K`, those from `longest` - K
  on, so that each has a full context. `targets` keeps only the first so many.

  nonoverlap: disjoint windows. sliding:S: a window every S tokens, which
  scores its last S targets (the first scores all). last:K: the same, but
  without a first window that scores targets of little context.

  Raises:
    ValueError: `longest` is more than the text has; names what it has.
  """
  step = config.targets_per_window(protocol, length)
  last = protocol.startswith('last')
  first = longest - step + 1 if last else 1
  available = total - first
  if total - 1 < longest or available < 1:
    raise ValueError(
      f'length {longest} is longer than the text: '
      f'{max(total - 1, 0)} is the longest possible'
    )
  if targets and not last and targets < longest:
    raise ValueError(
      f'length {longest} is longer than eval.tokens = {targets} '
      f'scored targets; raise it to {longest} or more'
    )
  end = first + min(targets or available, available)
  plan = []
  score = first
  while score < end:
    fresh = step if plan or last else length
    stop = min(score + fresh, end)
    # Where a full window would start, also if the text ends within it.
    start = score - 1 if not plan and not last else score + fresh - 1 - length
    plan.append(Window(start, score, stop))
    score = stop
  return plan
