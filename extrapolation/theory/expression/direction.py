"""Whether a formula falls as its distance grows, proved by reading it.

Of every node its range over all distances is bounded (`float_intervals`), and
by the rules of calculus its direction follows from those of its arguments: 0
where it is constant, 1 where it never falls, -1 where it never rises, None
where the rules do not tell.
"""

import numpy as np

from extrapolation.theory.expression.float_intervals import Interval, Rules
from extrapolation.theory.expression.graph import Node, tape

REACH = 2.0**64  # distances from 0 on, more than float32 has whole numbers
LARGEST = 2.0**128  # of a parameter without a value, more than float32 holds
Known = tuple[Interval, int | None]  # range and direction
# Those that rise with each of their arguments; truth rises from false to true.
RISING = frozenset(
  ('exp', 'log', 'atan', 'erf', 'floor', 'sign', 'max', 'min', 'and', 'or')
)
FALLING = frozenset(('lt', 'le', 'not'))  # x < 0, x <= 0, not x


def never_rises(root: Node) -> bool:
  """Whether b(s) >= b(t) for all 0 <= s <= t is proved; False: it is not."""
  rules, known = Rules(), []
  for op, positions, data in tape(root):
    args = [known[p] for p in positions]
    if op == 't':
      known.append(((0.0, REACH), 1))
    elif op == 'param':  # ~ marks one that may be negative
      low = -LARGEST if data.startswith('~') else 0.0
      known.append(((low, LARGEST), 0))
    else:
      bounds = rules(op, data, [bounds for bounds, _ in args])
      known.append((bounds, _direction(op, data, args)))
  return known[-1][1] in (0, -1)


def _direction(op: str, data: tuple, args: list[Known]) -> int | None:
  ways = [way for _, way in args]
  if all(way == 0 for way in ways):
    return 0
  if op == 'add':
    signs = [1 if c > 0 else -1 for c in data[1]]
    return _common([_times(s, w) for s, w in zip(signs, ways, strict=True)])
  if op in RISING:
    return _common(ways)
  if op in FALLING:
    return _common([_times(-1, way) for way in ways])
  if op == 'mul':
    (x, dx), (y, dy) = args
    return _common([_times(_sign(y), dx), _times(_sign(x), dy)])
  if op == 'abs':
    return _times(_sign(args[0][0]), ways[0])
  if op == 'pow':
    (x, dx), (y, dy) = args
    # x^y rises in x >= 0 where y >= 0, and falls where y <= 0.
    return _times(_sign(y), dx) if dy == 0 and _sign(x) == 1 else None
  if op == 'select':
    return _of_cases(*args)
  return None


def _of_cases(condition: Known, then: Known, other: Known) -> int | None:
  """Of a condition that turns at most once, and a step that goes along."""
  way = _common([then[1], other[1]])
  turns = condition[1]
  if way is None or turns is None:
    return None
  if turns == 0:
    return way
  (before, after) = (then[0], other[0]) if turns < 0 else (other[0], then[0])
  if way <= 0 and np.all(before[0] >= after[1]):
    return -1
  if way >= 0 and np.all(before[1] <= after[0]):
    return 1
  return None


def _common(ways: list[int | None]) -> int | None:
  """The one direction of a sum of parts, if they have one."""
  if None in ways:
    return None
  moving = {way for way in ways if way}
  return (moving or {0}).pop() if len(moving) < 2 else None


def _sign(x: Interval) -> int | None:
  """1 where x >= 0 everywhere, -1 where x <= 0, None where neither is known."""
  return 1 if np.all(x[0] >= 0) else -1 if np.all(x[1] <= 0) else None


def _times(sign: int | None, way: int | None) -> int | None:
  if way == 0:
    return 0
  return None if sign is None or way is None else sign * way
