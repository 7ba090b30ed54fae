"""Every number of a record against plain sums of mpmath, in 30 digits."""

import math

import mpmath as mp
import pytest

from extrapolation.theory import answer, subjects
from extrapolation.theory.certified_window import ErrorBound
from extrapolation.theory.trf_bounds import share

N, L, M, ERROR = 300, 40, 1, 0.25
EPS = ('0.2', '0.013')
LONG = 3000  # what lies beyond is nothing to 30 digits

CASES = {  # the log weight; its tail T_j where a plain sum will not do
  '-1.9*log(t/3+1)': (
    lambda t: -mp.mpf('1.9') * mp.log(1 + mp.mpf(t) / 3),
    lambda j: mp.zeta(mp.mpf('1.9'), 3 + j) * mp.mpf(3) ** mp.mpf('1.9'),
  ),
  '-log((t+1)*(t+2)*(t+3))': (
    lambda t: -mp.log((t + 1) * (t + 2) * (t + 3)),
    lambda j: mp.mpf(1) / (2 * (j + 1) * (j + 2)),
  ),
  '-log(t**2+1)': (
    lambda t: -mp.log(mp.mpf(t) ** 2 + 1),
    lambda j: mp.im(mp.psi(0, j + 1j)),
  ),
  '3*log(t)-t/5': (lambda t: 3 * ln(t) - mp.mpf(t) / 5,),
  '-abs(t-50)/7': (lambda t: -mp.mpf(abs(t - 50)) / 7,),
  '-max(0,t-60)/9': (lambda t: -mp.mpf(max(0, t - 60)) / 9,),
  '-t/30+sin(t)': (lambda t: mp.sin(t) - mp.mpf(t) / 30,),
  '-floor(t/16)/2-t/50': (lambda t: -mp.mpf(t // 16) / 2 - mp.mpf(t) / 50,),
  'log(max(0,1-t/77))': (lambda t: ln(max(0, 1 - mp.mpf(t) / 77)),),
  '-lgamma(t/10+1)': (lambda t: -mp.loggamma(1 + mp.mpf(t) / 10),),
  'log(erfc(t/60))': (lambda t: mp.log(mp.erfc(mp.mpf(t) / 60)),),
  'log(sigmoid(5-t/12))': (lambda t: -mp.log1p(mp.exp(mp.mpf(t) / 12 - 5)),),
  '1000-t/13': (lambda t: 1000 - mp.mpf(t) / 13,),
  '-0.7*log(1+t)': (lambda t: -mp.mpf('0.7') * mp.log(1 + t), None),
  '-2*sin(t/9)**2': (lambda t: -2 * mp.sin(mp.mpf(t) / 9) ** 2, None),
  'log(max(0,t-20))': (lambda t: ln(max(0, t - 20)), None),
}


def ln(x):
  return mp.log(x) if x > 0 else mp.mpf('-inf')


def first(right, low, high):
  """The least j with right(j), which then stays."""
  while high - low > 1:
    middle = (low + high) // 2
    low, high = (low, middle) if right(middle) else (middle, high)
  return high


def moved(near, far):
  """The largest error of a window, theorem 1 with values of size 1."""
  x = mp.exp(2 * M) * far
  return 2 * x / (near + x)


def close(found, wanted):
  assert found == pytest.approx(float(wanted), rel=1e-9)


@pytest.mark.parametrize('text', CASES)
def test_all_numbers(text):
  mp.mp.dps = 30
  b, *tail = CASES[text]
  asked = {e: share(e) for e in EPS}
  bound = ErrorBound(ERROR, M)
  (head,) = answer.record(
    subjects.read(text), answer.Asked(asked, N, L, bound, M)
  )['heads']
  below, far, window = (head[k] for k in ('horizon', 'far', 'window'))

  w = [mp.exp(b(t)) for t in range(N if tail else LONG)]
  B = [mp.mpf(0)]
  for x in w:
    B.append(B[-1] + x)
  F = [(B[i] - B[L]) / B[i] for i in range(L + 1, N + 1)]
  close(below['far_mass'], F[-1])
  close(far['mean'], mp.fsum(F) / N)
  for x, side in zip(far['share'], (-2 * M, 2 * M), strict=True):
    odds = F[-1] / (1 - F[-1]) * mp.exp(side)
    assert x == pytest.approx(float(odds / (1 + odds)), rel=1e-8)
  for e in EPS:
    some = mp.mpf(e) * B[N]
    n = first(lambda j, some=some: B[N] - B[j] < some, 0, N)
    assert below['trf'][e] == n
  places = (L, L - 1), (N, L), (N, N - 1)
  for x, (i, t) in zip(far['reach'].values(), places, strict=True):
    reach = mp.log(B[i]) - b(t)
    assert x is None if mp.isinf(reach) else x == pytest.approx(float(reach))
  fits = lambda j: B[j] > 0 and moved(B[j], B[N] - B[j]) <= ERROR  # noqa: E731
  assert window['below'] == first(fits, 0, N)
  n_half = far['n_half']

  if tail == [None]:
    assert head['verdict'] == 'diverges' and window['any_length'] is None
    n = next((i for i in range(N + 1) if B[i] >= 2 * B[L] > 0), math.inf)
    known = n_half == dict(low=n, high=n)
    assert known or (n == math.inf and (n_half['low'] > N or B[L] == 0))
    return
  assert head['verdict'] == 'converges'
  T = tail[0] if tail else lambda j: B[-1] - B[j] if j < LONG else mp.mpf(0)
  for e in EPS:
    n = first(lambda j, e=e: T(j) < mp.mpf(e) * T(0), 0, 10**9)
    assert head['trf'][e] == dict(low=n, high=n)
  n = first(lambda j: moved(T(0) - T(j), T(j)) <= ERROR, 0, 10**9)
  assert window['any_length'] == n
  never = dict(low=None, high=None)
  if T(0) < 2 * B[L]:
    assert n_half == never
  else:
    n = first(lambda j: T(0) - T(j) >= 2 * B[L], 0, 10**12)
    assert n_half == dict(low=n, high=n)
