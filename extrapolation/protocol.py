"""Which windows score which targets, so that every length scores the same."""

import dataclasses

SPLITS = ('train', 'valid', 'test')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """The section `eval` of a config; `config.base` says what each field is."""

  lengths: tuple
  protocol: str = 'nonoverlap'
  split: str = 'test'
  tokens: int = 0
  batch_tokens: int = 16_384
  window: str = 'full'

  def __post_init__(self):
    if not self.lengths:
      raise ValueError('eval.lengths is empty; give one length or more')
    for n in self.lengths:
      if not isinstance(n, int) or n < 1:
        raise ValueError(f'eval.lengths: {n!r} is not a length; needs >= 1')
    for name, least in dict(tokens=0, batch_tokens=1).items():
      if getattr(self, name) < least:
        value = getattr(self, name)
        raise ValueError(f'eval.{name} = {value}: needs at least {least}')
    if self.split not in SPLITS:
      raise ValueError(
        f'eval.split = {self.split!r}; there are: {", ".join(SPLITS)}'
      )
    stride(self.protocol, min(self.lengths))
    keys(self.window)


def keys(window: str) -> int | float | None:
  """Keys kept, or the error that is certified; None for `full`."""
  if window == 'full':
    return None
  if window.isdecimal() and int(window) > 0:
    return int(window)
  kind, _, number = window.partition(':')
  try:
    error = float(number) if kind == 'certified' else 0.0
  except ValueError:
    error = 0.0
  if not 0 < error < 1:
    raise ValueError(
      f'window {window!r}: needs full, a number of keys >= 1, or '
      'certified:ERROR with 0 < ERROR < 1'
    )
  return error


def stride(protocol: str, length: int) -> int:
  """Targets that each window but the first scores, under a protocol."""
  kind, _, number = protocol.partition(':')
  if protocol == 'nonoverlap':
    return length
  if (
    kind not in ('sliding', 'last') or not number.isdecimal() or not int(number)
  ):
    raise ValueError(
      f'no protocol {protocol!r}; there are: nonoverlap, sliding:STRIDE, '
      'last:K, with numbers >= 1'
    )
  if int(number) > length:
    raise ValueError(
      f'protocol {protocol} scores {number} targets a window, '
      f'more than the shortest length, {length}, has'
    )
  return int(number)


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
  step = stride(protocol, length)
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
  found = []
  score = first
  while score < end:
    fresh = step if found or last else length
    stop = min(score + fresh, end)
    # Where a full window would start, also if the text ends within it.
    start = score - 1 if not found and not last else score + fresh - 1 - length
    found.append(Window(start, score, stop))
    score = stop
  return found
