"""How grids of a sweep, protocols and windows are written in a config."""

from extrapolation.config import sizes


def grid_of(text: str) -> dict[str, list[str]]:
  """`KEY=VALUE,VALUE;KEY=VALUE` as the values of each key.

  Raises:
    ValueError: no such text, or a key or value that is given twice.
  """
  out: dict[str, list[str]] = {}
  for part in filter(None, map(str.strip, text.split(';'))):
    key, equals, values = (x.strip() for x in part.partition('='))
    listed = [v.strip() for v in values.split(',')]
    if not equals or not key or not all(listed):
      raise ValueError(
        f'sweep.grid = {sizes.shown(text)}: {sizes.shown(part)} is not '
        'KEY=VALUE,VALUE; write train.T=256,512;optim.lr=1e-3,3e-3'
      )
    if key in out or len({*listed}) < len(listed):
      raise ValueError(f'sweep.grid = {sizes.shown(text)}: {key} twice')
    if key in ('seed', 'model.rpe') or key.startswith('sweep.'):
      raise ValueError(
        f'sweep.grid: {key} has a key of its own: sweep.rpe, sweep.seeds'
      )
    out[key] = listed
  return out


def targets_per_window(protocol: str, length: int) -> int:
  """Targets that each window but the first scores, under a protocol.

  Raises:
    ValueError: no such protocol, or more targets than `length` has.
  """
  kind, _, number = protocol.partition(':')
  if protocol == 'nonoverlap':
    return length
  if kind not in ('sliding', 'last') or not _count(number):
    raise ValueError(
      f'no protocol {sizes.shown(protocol)}; there are: nonoverlap, '
      f'sliding:STRIDE, last:K, with numbers >= 1, <= {sizes.TOKENS}'
    )
  if int(number) > length:
    raise ValueError(
      f'protocol {protocol} scores {number} targets per window, '
      f'more than the shortest length, {length}, has'
    )
  return int(number)


def keys_or_error(window: str) -> int | float | None:
  """Keys kept, or the error that is certified; None for `full`.

  Raises:
    ValueError: not `full`, a number >= 1, or `certified:ERROR`.
  """
  if window == 'full':
    return None
  if keys := _count(window):
    return keys
  kind, _, number = window.partition(':')
  try:
    error = float(number) if kind == 'certified' else 0.0
  except ValueError:
    error = 0.0
  if not 0 < error < 1:
    raise ValueError(
      f'window {sizes.shown(window)}: needs full, a number of keys >= 1, or '
      'certified:ERROR with 0 < ERROR < 1'
    )
  return error


def _count(text: str) -> int:
  """A number of tokens, 1 or more; 0 is none."""
  n = int(text) if text.isdecimal() and len(text) < 12 else 0
  return n if n <= sizes.TOKENS else 0
