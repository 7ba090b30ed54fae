"""Sums of waves: bounds of Fourier series that check their own hypotheses."""

import flint
import mpmath
import numpy as np
import pytest
from flint import arb

from extrapolation import theory
from extrapolation.theory import trf_bounds
from extrapolation.theory.enclosures import ball, oscillating_sum, sums
from extrapolation.theory.expression.formula import Formula

SLOW = pytest.mark.slow


def tails(text):
  return trf_bounds.tails(Formula(text).read(), 0, trf_bounds.share('0.001'))


# Few harmonics, many, and more than float64 holds: I_0(500) is 1e215.
SIZES = [(2, 1), (3, 120), (2, 500)]
MORE = [(p, c) for p in (2, 3) for c in (1, 30, 90, 120, 200, 300, 500)]


@pytest.mark.parametrize(
  'p, c',
  SIZES + [pytest.param(*x, marks=SLOW) for x in MORE if x not in SIZES],
)
def test_far_tails_of_waves_differ_by_their_weights(p, c):
  """T_j - T_{j+n} is a plain sum, with Bessel functions I_k of any size."""
  text = f'-{p}*log(t+1)+{c}*sin(t)'
  found, program = tails(text), ball.Program(Formula(text).read())
  for j, n in ((10_000, 200), (200_000, 1000)):
    with sums.precision():
      part = found.beyond(j) - found.beyond(j + n)
      plain = sum((program.at(t).exp() for t in range(j, j + n)), arb(0))
      assert part.overlaps(plain)
      assert found.beyond(j).upper() > 0


@pytest.mark.parametrize(
  ('base', 'c'), [('-t', 10), ('-2*log(t+1)', 1), ('-t/50', 3)]
)
def test_enclosures_hold_from_the_first_token_on(base, c):
  """Every T_j by Fourier series alone, against a plain sum of 3000 weights."""
  root = Formula(f'{base}+{c}*cos(t)').read()
  base, wave, omega = oscillating_sum.split(root)
  series = oscillating_sum.WaveSums(sums.Sums(base), wave, omega)
  program, rest = ball.Program(root), series.beyond(3000)
  with sums.precision():
    total = rest
    for t in range(2999, -1, -1):
      total = total + program.at(t).exp()
      if t < 100 or t % 100 == 0:
        assert series.beyond(t).overlaps(total), t


@pytest.mark.parametrize(
  'k, c',
  [(41, 150), (45, 300), *(pytest.param(*x, marks=SLOW)
                           for x in ((41, 300), (45, 150)))],
)  # fmt: skip
def test_a_late_harmonic_near_resonance_is_counted(k, c):
  """omega = 2 pi / k + 3e-7: its k-th harmonic is still for 10^5 tokens, and
  moves the tails by I_k(c) / I_0(c), about 1 %."""
  omega = round(2 * np.pi / k, 6)
  text = f'-2*log(t+1)+{c}*sin({omega}*t)'
  found, (j, n) = tails(text), (200_000, 200_000)
  t = np.arange(j, j + n, dtype=np.float64)
  plain = np.exp(-2 * np.log1p(t) + c * (np.sin(omega * t) - 1)).sum()
  with sums.precision():
    part = (found.beyond(j) - found.beyond(j + n)) / arb(c).exp()
    assert part.overlaps(arb(plain, plain * 1e-9))


@pytest.mark.parametrize('c', [0.5, 5, 40, 150])
def test_coefficients_are_modified_bessel_functions(c):
  """exp(c sin x) = sum_k a_k e^{ikx}, |a_k| = I_k(c) (DLMF 10.35.2)."""
  root = Formula(f'-2*log(t+1)+{c}*sin(t+1)').read()
  _, wave, omega = oscillating_sum.split(root)
  wave = oscillating_sum.Wave(wave, omega)
  mpmath.mp.dps = 40
  with flint.ctx.workprec(160):
    assert wave.mean.overlaps(arb(str(mpmath.besseli(0, c)), 1e-20))
    for k, (size, _) in enumerate(wave.sizes, 1):
      exact = 2 * arb(str(mpmath.besseli(k, c)))
      assert (
        size >= exact * (1 - arb(1e-30)) and size <= exact + wave.mean * 1e-9
      )
    first = len(wave.sizes) + 1  # from there they fall by more than half
    tail = sum(mpmath.besseli(first + i, c) for i in range(100))
    assert wave.rest >= 2 * arb(str(tail)) * (1 - arb(1e-30))


N = 1_000_000
PLAIN = {
  '-3*log(t+1)+90*sin(t)': lambda t, L: -3 * L + 90 * np.sin(t),
  '-log(2+sin(t))-2.5*log(t+1)': lambda t, L: -np.log(2 + np.sin(t)) - 2.5 * L,
  '-2.5*log(t+1)+sin(t)+cos(0.5*t)': lambda t, L: (
    -2.5 * L + np.sin(t) + np.cos(0.5 * t)
  ),
  '-2.5*log(t+1)+2*abs(sin(t))': lambda t, L: -2.5 * L + 2 * np.abs(np.sin(t)),
  '-log(t+1)*(3.5+cos(t))': lambda t, L: -L * (3.5 + np.cos(t)),
  'sin(t)*log(t+1)-3.5*log(t+1)': lambda t, L: L * (np.sin(t) - 3.5),
}


@pytest.mark.parametrize('text', PLAIN)
def test_fields_of_waves_against_a_plain_sum(text):
  """Tails fall like t^-1.5 or faster: the rest is below 1e-9 of B."""
  t = np.arange(N, dtype=np.float64)
  b = PLAIN[text](t, np.log1p(t))
  w = np.exp(b - b.max())
  beyond = np.cumsum(w[::-1])[::-1]
  (brackets,) = theory.trf(text, eps=['0.1', '0.01', '0.001'])
  for b, eps in zip(brackets, (0.1, 0.01, 0.001), strict=True):
    n = int(np.argmax(beyond < eps * beyond[0]))
    assert b.low <= n <= b.high
    assert 'log(t+1)*' in text or '*log(t+1)-' in text or b.high < 2 * b.low
