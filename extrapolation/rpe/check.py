"""What an encoding must be: `python -m extrapolation.rpe.check FILE.py ..`.

Runs every law on files of your own, or on encodings by name, and says in one
page what holds. Exit code 0: nothing failed; 1: something did. Training and
evaluation make a shorter check of their own before they compute.
"""

import collections
import functools
import itertools
import math
import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from extrapolation import cli, clock, heat, rpe
from extrapolation.cli import paths
from extrapolation.clock import check as clock_check
from extrapolation.heat import check as heat_check
from extrapolation.output import exit_codes
from extrapolation.rpe import composition, laws, user_file
from extrapolation.rpe.base import RPE

COMPARED = 4096  # distances at which one answer is compared with another
WHOLE = 1 << 16  # distances that are all looked at; beyond, some
SAMPLES = 4096
TOLERANCE = 1e-4  # of what is equal but for the order of a sum


def check(
  encoding: RPE, H: int, T: int, params: Mapping[str, Any] | None = None
) -> None:
  """Returns if `bias` is a function of each distance below T by itself.

  That is, for H heads and n distances it gives [H, n] numbers, none NaN or
  +inf and none -inf at distance 0, where a first token has no other key; and
  the same ones whatever other distances it is asked about. A cheap test of
  some values, no proof.

  Args:
    params: learned ones; those of `init` if None.

  Raises:
    ValueError: it is not; names the file, the head and the distance.
  """
  if params is None:
    params = encoding.init(jax.random.key(0))
  n = min(T, COMPARED)
  near = np.arange(n)
  table = _values(encoding, H, near, params)
  _finite(encoding, table, near)
  for other, part in (
    (np.arange(2 * n), slice(n)),
    (near[::-1], slice(None, None, -1)),
    (near[-1:], slice(None)),
  ):
    again = _values(encoding, H, other, params)[:, part]
    first = table[:, -again.shape[1] :]
    off = ~np.isclose(again, first, TOLERANCE, TOLERANCE)
    if off.any():
      h, i = np.argwhere(off)[0]
      d = near[-again.shape[1] :][i]
      raise _wrong(
        encoding,
        f'at distance {d}, head {h}, it is {first[h, i]:g} among {n} distances '
        f'and {again[h, i]:g} among {len(other)}; it must be a function of '
        'each distance by itself, not of how many there are or which',
      )
  if T > n:
    far = np.arange(n, min(T, WHOLE))
    if T > WHOLE:
      spread = np.geomspace(WHOLE, T - 1, SAMPLES).astype(np.int64)
      far = np.unique(np.concatenate([far, spread]))
    _finite(encoding, _values(encoding, H, far, params), far)


def check_parts(encoding: RPE, H: int, T: int) -> None:
  """Returns if its clock never goes back, and its heat is > 0, at T tokens.

  Raises:
    ValueError: as `clock.check.check` and `heat.check.check`.
  """
  if not encoding.clock.is_index:
    clock_check.check(encoding.clock, H, T)
  if not encoding.heat.is_one:
    heat_check.check(encoding.heat, H, T)


def usable(H: int, T: int) -> tuple[list[str], dict[str, str]]:
  """The names of all encodings that pass `check`, and why others do not."""
  good, bad = [], {}
  for name in rpe.names():
    try:
      check(rpe.get(name, H), H, T)
    except ValueError as e:
      bad[name] = str(e)
    else:
      good.append(name)
  return good, bad


def _values(
  encoding: RPE, H: int, distance: Num[np.ndarray, ' n'], params: Mapping
) -> Float[np.ndarray, 'H n']:
  try:
    table = np.asarray(encoding.bias(jnp.asarray(distance), dict(params)))
  except Exception as e:  # whatever a file of the user's own raises
    file = rpe.file_of(encoding.name) if encoding.name else ''
    raise _wrong(
      encoding, f'of {len(distance)} distances raises {_raised(file, e)}'
    ) from e
  want = (H, len(distance))
  if table.shape != want or not jnp.issubdtype(table.dtype, jnp.floating):
    raise _wrong(
      encoding,
      f'of distances 0 .. {max(distance)} is {table.dtype}{list(table.shape)}; '
      f'it must be float32{list(want)}: one row for each head, one column for '
      'each distance',
    )
  return table.astype(np.float64)


def _finite(encoding: RPE, table: np.ndarray, distance: np.ndarray) -> None:
  if bad := laws.no_log_weight(table, distance):
    h, i = bad
    raise _wrong(
      encoding,
      f'is {table[h, i]:g} at distance {distance[i]}, head {h}; it must be a '
      'number, or -inf, a weight of zero, beyond distance 0',
    )


def results(make: laws.Make, path: str = '') -> list[tuple[str, str, str]]:
  """(passed | failed | not applicable, law, number or reason) of every law.

  Args:
    path: of the file that `make` is of, to name a line.
  """
  out = []
  for law in laws.LAWS:
    name = law.__name__.replace('_', ' ')
    try:
      why = law(make)
      out.append(('not applicable' if why else 'passed', name, why))
    except Exception as e:  # whatever an encoding raises
      broken = isinstance(e, laws.Broken)
      out.append(('failed', name, str(e) if broken else _raised(path, e)))
  return out


def _raised(path: str, e: Exception) -> str:
  """An error that an encoding raises, with the line of its file."""
  n = user_file.line(path, e)
  words = ' '.join(str(e).split())[:200]
  return f'{type(e).__name__}: {words}' + (f' (line {n})' if n else '')


def _of_spec(written: str) -> list[tuple[str, str, str]]:
  """`results` of every kernel of a spec, and of its clocks and heats.

  Raises:
    ValueError: no spec of encodings that can stand together.
  """
  layers = composition.parse(written, rpe.defaults)
  rpe.layers(written, math.lcm(*map(len, layers)))
  out = {}
  for part in itertools.chain(*layers):
    item = part.kernel
    label = rpe.label(item.name, item.hyper)
    make = functools.partial(rpe.get, item.name, **item.hyper)
    for how, law, why in results(make, rpe.file_of(item.name)):
      out[f'{label}: {law}'] = how, why
    for room, given, test in (
      (clock, part.clock, clock_check.check),
      (heat, part.heat, heat_check.check),
    ):
      if given:
        try:
          test(room.get(given.name, laws.H, **given.hyper), laws.H)
          outcome = 'passed', ''
        except ValueError as e:
          outcome = 'failed', str(e)
        name = room.label(given.name, given.hyper)
        out[f'{name}: it is a {room.REGISTRY.noun}'] = outcome
  return [(how, law, why) for law, (how, why) in out.items()]


def _maker(written: str) -> laws.Make:
  """How an encoding is built, with the hyperparameters that are written."""
  kernel, texts = rpe.parse(written)
  if rpe.is_file(kernel):
    rpe.load(kernel)
  hyper = rpe.typed(kernel, texts, rpe.defaults(kernel))
  return functools.partial(rpe.get, kernel, **hyper)


def _page(written: str, brief: bool) -> bool:
  """Prints the results of one encoding; whether nothing failed."""
  kernel, _ = rpe.parse(written)
  try:
    if rpe.is_composed(written):
      rows = _of_spec(written)
    else:
      rows = results(_maker(written), rpe.file_of(kernel))
  except ValueError as e:
    if not (brief or os.path.isfile(paths.expand(kernel))):
      raise
    rows = [('failed', 'it can be loaded', str(e))]
  count = collections.Counter(how for how, *_ in rows)
  print(f'{written}: ' + ', '.join(f'{n} {how}' for how, n in count.items()))
  for how, law, why in rows:
    if how == 'failed' or not brief:
      print(f'  {how:14}  {law}' + (f': {why}' if why else ''))
  return not count['failed']


def main(argv: list[str]) -> None:
  parser = cli.parser(__doc__)
  parser.add_argument(
    'encodings',
    nargs='*',
    metavar='ENCODING',
    help='FILE.py or NAME, each with hyperparameters :KEY=VALUE, or a spec of '
    'kernels with clocks and heats',
  )
  parser.add_argument('--all', action='store_true', help='all that have a name')
  args = parser.parse_args(argv)
  if not args.encodings and not args.all:
    parser.error('give the path of a file, the name of an encoding, or --all')
  passed = [_page(written, False) for written in args.encodings]
  passed += [_page(name, True) for name in rpe.names() if args.all]
  if all(passed):
    for written in args.encodings:
      print(f'next: python -m extrapolation.theory --rpe={written}')
  else:
    raise SystemExit(exit_codes.FAILED)


def _wrong(encoding: RPE, what: str) -> ValueError:
  file = rpe.file_of(encoding.name) if encoding.name else ''
  where = f' ({file})' if file else ''
  name = repr(encoding.name) if encoding.name else 'without a name'
  return ValueError(f'encoding {name}{where}: its bias {what}')


if __name__ == '__main__':
  cli.run(main, prints=True)
