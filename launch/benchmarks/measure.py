"""Times cases side by side, each its own process: A B C ... C B A.

Other work on a machine slows one case now and another then. So ratios are
paired within a round, CPU seconds stand beside wall seconds, and every number
comes with the load that other processes made meanwhile.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

WORKER = pathlib.Path(__file__).with_name('worker.py')
ROOT = WORKER.parents[2]


@dataclasses.dataclass
class Case:
  """One thing to time: `make` names a function of `module`, `args` its input.

  `module` is a file of this folder, such as 'jax_cases'.
  """

  name: str
  module: str
  make: str
  args: dict = dataclasses.field(default_factory=dict)
  seconds: list[float] = dataclasses.field(default_factory=list)
  cpu: list[float] = dataclasses.field(default_factory=list)
  load: list[float] = dataclasses.field(default_factory=list)
  about: dict = dataclasses.field(default_factory=dict)


def busy_seconds() -> float | None:
  """CPU seconds of all processes since start-up, where the system tells."""
  try:
    fields = pathlib.Path('/proc/stat').read_text().split('\n')[0].split()[1:]
  except OSError:
    return None
  n = [int(x) for x in fields]
  return (sum(n[:3]) + sum(n[5:8])) / os.sysconf('SC_CLK_TCK')


class _Child:
  """A process that built its case and repeats it on demand."""

  def __init__(self, case: Case, python: str, seconds: float):
    spec = dict(
      module=case.module, make=case.make, args=case.args, seconds=seconds
    )
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    self.process = subprocess.Popen(
      [python, str(WORKER), json.dumps(spec)],
      env=os.environ | dict(PYTHONPATH=path),
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    assert self.process.stdin and self.process.stdout and self.process.stderr
    self.stdin, self.stdout = self.process.stdin, self.process.stdout
    self.stderr = self.process.stderr

  def read(self) -> dict:
    line = self.stdout.readline()
    if not line:
      lines = self.stderr.read().strip().splitlines()
      raise ChildProcessError(lines[-1] if lines else 'it ended')
    return json.loads(line)

  def repeat(self) -> dict:
    self.stdin.write('go\n')
    self.stdin.flush()
    return self.read()

  def close(self) -> None:
    self.stdin.close()
    self.process.wait()


def run(
  cases: list[Case], rounds: int, torch_python: str, seconds: float
) -> list[Case]:
  """Fills in the cases that could be built; names those that could not.

  A measurement repeats its case until `seconds` are over, at least once.
  """
  children, built = [], []
  for case in cases:
    is_torch = case.module.startswith('torch_')
    child = _Child(case, torch_python if is_torch else sys.executable, seconds)
    try:
      case.about = child.read()
    except ChildProcessError as e:
      print(f'  left out: {case.name}: {e}', flush=True)
      continue
    print(
      f'  built {case.name} in {case.about["build_seconds"]:.0f} s', flush=True
    )
    children.append(child)
    built.append(case)
  pairs = list(zip(built, children, strict=True))
  for n in range(rounds):
    for case, child in pairs if n % 2 == 0 else reversed(pairs):
      before, start = busy_seconds(), time.monotonic()
      got = child.repeat()
      wall = time.monotonic() - start
      case.seconds.append(got['seconds'])
      case.cpu.append(got['cpu'])
      case.about |= got['about']
      after = busy_seconds()
      if before is not None and after is not None:
        others = after - before - got['cpu_all']
        case.load.append(max(0.0, others / wall))
    print(f'  round {n + 1} of {rounds}', flush=True)
  for child in children:
    child.close()
  return built


def rows(cases: list[Case], base: str) -> list[dict]:
  """A row per case; ratios are how many times faster than the case `base`."""
  named = {c.name: c for c in cases}
  if base not in named:
    raise ValueError(f'case {base!r} could not be built; nothing to compare')
  peak = max((_rate(c) for c in cases if c.about.get('is_peak')), default=None)
  out = []
  for c in cases:
    b, q = named[base], statistics.quantiles([*c.seconds, *c.seconds], n=4)
    row = dict(
      case=c.name,
      median_s=_round(q[1]),
      best_s=_round(min(c.seconds)),
      spread=_round((q[2] - q[0]) / q[1], 2),
      cpu_s=_round(statistics.median(c.cpu)),
      ratio=_paired(b.seconds, c.seconds),
      ratio_cpu=_paired(b.cpu, c.cpu),
      ratio_best=_round(min(b.seconds) / min(c.seconds), 2),
      per_s=_round(c.about.get('items', 0) / q[1]) or '',
      gflops=_round(c.about.get('flops', 0) / q[1] / 1e9, 1) or '',
      of_peak=_round(_rate(c) / peak, 2) if peak and _rate(c) else '',
      gb_per_s=_round(c.about.get('bytes', 0) / q[1] / 1e9, 1) or '',
      rss_mb=_round(c.about['rss_mb'], 0),
      temp_mb=_round(c.about.get('temp_mb', 0), 0) or '',
      result=c.about.get('result', ''),
      others_cores=_round(statistics.median(c.load), 2) if c.load else '',
      rounds=len(c.seconds),
    )
    out.append(row)
  return out


def _rate(case: Case) -> float:
  """FLOP/s of the best repetition."""
  return case.about.get('flops', 0) / min(case.seconds)


def _paired(base: list[float], own: list[float]) -> float:
  ratios = [b / o for b, o in zip(base, own, strict=True)]
  return _round(statistics.median(ratios), 2)


def _round(x: float, digits: int = 4) -> float:
  return round(x, digits) if digits < 4 else float(f'{x:.4g}')
