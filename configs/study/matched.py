"""Exponents at which four families have one far mass, or one rate of decay.

  python configs/study/matched.py

prints the encodings of configs/study/rate.py with both numbers, solved anew.
The families are n^-p (`harmonic`), 1 / (n ln^p n) (`bertrand`), exp(-n^p)
(`power`) and exp(-ln^p n) (`log_power`). Far mass is that of the law: the share
of the weights beyond 512 in a window of 9,216, mean over heads and positions.
The rate is the local exponent -t b'(t) at t = 9,216, mean over heads: the p of
the n^-p that falls as fast there.
"""

import pathlib
import sys
from collections.abc import Callable, Iterable

import numpy as np
from scipy.optimize import root_scalar

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the same code as `python -m` runs there

from extrapolation import rpe  # noqa: E402
from extrapolation.predict import weights  # noqa: E402

H, L, N = 4, 512, 9216
# In order of decay, the slowest first; exponents between which roots are.
FAMILIES = {
  'bertrand': (0.1, 12.0),
  'harmonic': (0.5, 4.0),
  'log_power': (0.8, 3.0),
  'power': (0.05, 2.0),
}
FAR_MASS, RATE = 0.2, 2.0
DIGITS = 4  # of a printed exponent

# As printed, and tested to be so.
EQUAL_FAR_MASS = (
  'bertrand:exponent=2.2007',
  'harmonic:exponent=1.4721',
  'log_power:exponent=1.3922',
  'power:exponent=0.4713',
)
EQUAL_RATE = (
  'bertrand:exponent=5.5913',
  'harmonic:exponent=2.0183',
  'log_power:exponent=1.2766',
  'power:exponent=0.3097',
)


def spec(family: str, exponent: float) -> str:
  return f'{family}:exponent={exponent:.{DIGITS}f}'


def far_mass(text: str) -> float:
  """Of an encoding, as `harmonic:exponent=1.5`."""
  return _read(text, N).far_mass(N, L)


def rate(text: str) -> float:
  """Local exponent -t b'(t) at t = N, mean over heads.

  From the difference of the log weights of N and N - 64: b is linear in ln t
  over so small a step but for 1e-5 of the rate.
  """
  of, step = _read(text, N + 1), 64
  falls = [(head.b[N - step] - head.b[N]) * head.count for head in of.heads]
  return sum(falls) / H / np.log(N / (N - step))


def solve(
  measure: Callable[[str], float],
  target: float,
  families: Iterable[str] = tuple(FAMILIES),
) -> list[str]:
  """An encoding of each family that measures `target`."""

  def root(family: str) -> float:
    def miss(exponent: float) -> float:
      return measure(f'{family}:exponent={exponent!r}') - target

    return root_scalar(miss, bracket=FAMILIES[family], xtol=1e-6).root

  return [spec(family, root(family)) for family in families]


def _read(text: str, n: int) -> weights.Weights:
  name, written = rpe.parse(text)
  hyper = rpe.typed(name, written, rpe.defaults(name))
  return weights.read(name, hyper, H, 1, n)


def main() -> None:
  for name, measure, target in (
    ('EQUAL_FAR_MASS', far_mass, FAR_MASS),
    ('EQUAL_RATE', rate, RATE),
  ):
    print(f'{name}: {target:g}')
    for text in solve(measure, target):
      print(f'  {text:26} far mass {far_mass(text):.4f} rate {rate(text):.3f}')


if __name__ == '__main__':
  main()
