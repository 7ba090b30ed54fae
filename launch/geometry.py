"""Runs the experiments of configs/geometry, one sweep after the other.

  python launch/geometry.py --workdir=runs/geometry
  python launch/geometry.py --workdir=runs/geometry --only=grid,copy --dry_run

Every experiment is a sweep per arm, in a folder of --workdir, with its report;
what is finished is skipped: the same command again goes on. After --hours no
further sweep is begun. Beside them it writes one table of all that is there,
geometry.csv, and figures of arms side by side. `--config.KEY=VALUE` is passed
on to all sweeps.
"""

import pathlib
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the same code as `python -m` runs here

from extrapolation import cli, config  # noqa: E402
from extrapolation.cli import flags, paths, values  # noqa: E402
from extrapolation.output import exit_codes, size_plot, table  # noqa: E402
from extrapolation.runs import sweep_grid  # noqa: E402

CONFIGS = ROOT / 'configs' / 'geometry'
# Arms of each, in the order they are run in; those of a line share a figure.
ARMS: Mapping[str, Sequence[tuple[str, ...]]] = {
  'copy': (('copy', 'reverse'),),
  'tree': (('root-2', 'leaf-2'), ('root-1', 'leaf-1'), ('root-3', 'leaf-3')),
  'grid': (('strip', 'square'),),
  'heat': (('square',),),
  'depth': (('square',),),
  'vit': (('bias', 'table'),),
}
VALUES = dict(copy='accuracy', vit='accuracy')  # drawn; of others the excess


def sweeps(
  names: Sequence[str], workdir: pathlib.Path
) -> list[tuple[str, pathlib.Path]]:
  """(FILE.py:ARM, folder) of every sweep of some experiments, in order.

  Raises:
    ValueError: no such experiment.
  """
  for name in names:
    if name not in ARMS:
      raise ValueError(
        f'--only={name}: no such experiment; there are: {", ".join(ARMS)}'
      )
  return [
    (f'{CONFIGS / name}.py:{arm}', workdir / f'{name}-{arm}')
    for name in names
    for arms in ARMS[name]
    for arm in arms
  ]


def rows_of(folder: pathlib.Path) -> list[dict]:
  """All rows that the finished runs of a sweep have."""
  if not (folder / 'sweep.json').exists():
    return []
  return [
    row
    for name, e in sweep_grid.read(str(folder))
    for row in sweep_grid.evaluated_rows(str(folder / name), e)
  ]


def gather(workdir: pathlib.Path) -> list[pathlib.Path]:
  """Writes the table and the figures of what is finished; what it wrote."""
  every, wrote = [], []
  for name, groups in ARMS.items():
    for arms in groups:
      panels = {arm: rows_of(workdir / f'{name}-{arm}') for arm in arms}
      panels = {arm: rows for arm, rows in panels.items() if rows}
      every += [
        dict(experiment=name, arm=arm) | row
        for arm, rows in panels.items()
        for row in rows
      ]
      if panels:
        path = workdir / f'{name}-{arms[0].partition("-")[2] or "all"}.png'
        size_plot.sizes(path, panels, VALUES.get(name, ''))
        wrote.append(path)
  if every:
    table.write(workdir / 'geometry.csv', every)
    wrote.append(workdir / 'geometry.csv')
  return wrote


def main(argv: list[str]) -> None:
  words, overrides = cli.split_overrides(argv)
  parser = flags.Parser(__doc__)
  add = parser.add_argument
  add('--workdir', type=paths.path, required=True, metavar='DIR')
  add('--only', default=','.join(ARMS), metavar='NAME,..')
  add('--hours', type=float, default=float('inf'), metavar='H')
  add('--dry_run', action='store_true', help='print the sweeps')
  args = parser.parse_args(words)
  workdir = pathlib.Path(args.workdir).resolve()
  todo = sweeps(values.items(args.only), workdir)
  ends = time.monotonic() + 3600 * args.hours
  for spec, folder in todo:
    runs = list(sweep_grid.experiments(config.load(spec, overrides)))
    done = sum(
      bool(sweep_grid.evaluated_rows(str(folder / name), e)) for name, e in runs
    )
    print(f'{folder.name}: {done} of {len(runs)} runs finished', flush=True)
    if args.dry_run or done == len(runs):
      continue
    if time.monotonic() > ends:
      print(f'{args.hours:g} hours are over; the same command goes on')
      break
    command = [sys.executable, '-u', '-m', 'extrapolation.sweep']
    command += [f'--config={spec}', f'--workdir={folder}']
    command += [f'--config.{k}={v}' for k, v in overrides.items()]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code in exit_codes.AGAIN or code < 0:
      raise SystemExit(code)
  if not args.dry_run:
    for path in gather(workdir):
      print(f'wrote {path}')


if __name__ == '__main__':
  cli.run(main, prints=True)
