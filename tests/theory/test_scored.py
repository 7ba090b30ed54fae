"""Theorems 13 to 15 of docs/theory.md: logits that are more than q.k and b."""

import dataclasses
import math

import jax
import numpy as np
import pytest

from extrapolation import rpe, theory
from extrapolation.parts.score import Score
from extrapolation.theory import __main__ as main
from extrapolation.theory import mixture, subjects, tightness
from extrapolation.theory.trf_bounds import share

RNG = np.random.default_rng(0)
EPS = {'0.1': share('0.1'), '0.01': share('0.01'), '0.001': share('0.001')}
H = 2
# Spec, verdict of every part of its heads in turn.
SAID = {
  'fire': ['not tight'],
  'cope@forget*ssmax': ['not tight'],
  'fire*llama4:whole=true': ['unknown'],
  'fire*log_n:whole=true': ['unknown'],
  'stick_breaking': ['tight'],
  'stick_breaking@forget': ['tight'],
  'stick_breaking*ssmax': ['not tight'],
  'stick_breaking*asentmax': ['unknown'],
  'dape': ['unknown'],
  'stick_breaking+fire': ['tight', 'not tight'],
  'dape+rotary': ['unknown', 'not judged'],
}


@pytest.mark.parametrize('spec', SAID)
def test_what_is_said(spec):
  heads = theory.tight(rpe.get(spec, H))
  assert [h.verdict for h in heads] == SAID[spec] * (H // len(SAID[spec]))
  assert all(h.argument and '\n' not in h.argument for h in heads)


def test_a_weight_of_zero_is_zero_under_every_score():
  cut = dataclasses.replace(rpe.get('window', H, width=4), score=BOUNDED)
  assert {h.verdict for h in theory.tight(cut)} == {'tight'}
  sums = dataclasses.replace(rpe.get('none', H), score=SUMS)
  (one, _) = theory.tight(sums)
  assert one.verdict == 'unknown' and 'no decay' in one.argument
  mixed = dataclasses.replace(rpe.get('none', H), score=UNKNOWN)
  (one, _) = theory.tight(mixed)
  assert one.verdict == 'unknown' and 'no slope' in one.argument


def logit(tile, params):
  return tile.z + tile.bias


BOUNDED = Score(logit=logit, bounded=True)
SUMS = Score(logit=logit, softmax=False)
UNKNOWN = Score(logit=logit)


def beyond(log_weights, w):
  """Share of the mass at distance w or more; the newest key comes first."""
  a = np.exp(log_weights - log_weights.max())
  return a[w:].sum() / a.sum()


def test_13_a_bounded_score_has_no_window():
  """At most w e^{2 (M + B)} / n of the mass is near, whatever the logits."""
  M, B, w = 0.5, 0.7, 20
  for n in (10**3, 10**5):
    near = w * math.exp(2 * (M + B)) / n
    for kind in range(30):
      z = RNG.uniform(-M, M, n) + RNG.uniform(-B, B, n)
      if kind % 3 == 0:
        z = np.where(np.arange(n) < w, M + B, -M - B)
      assert beyond(z, w) >= 1 - near
  (head, _) = theory.tight(rpe.get('fire', H))
  assert 'exp(2 (M + B)) / n' in head.argument


def sticks(z):
  """Weights of keys that break a stick one after another, newest first."""
  beta = 1 / (1 + np.exp(-z))
  return beta * np.concatenate([[1.0], np.cumprod(1 - beta)[:-1]])


def softplus(x):
  return math.log1p(math.exp(x))


@pytest.mark.parametrize('M', [0.0, 1.0, 3.0])
def test_14_what_near_keys_leave(M):
  """At most e^{-a m} of m keys, attained by the lowest logits."""
  a, n = softplus(-M), 4000
  for m in (0, 1, 5, 40):
    for _ in range(20):
      assert sticks(RNG.uniform(-M, M, n))[m:].sum() <= math.exp(-a * m) + 1e-12
    worst = sticks(np.full(n, -M))[m:].sum()
    assert worst == pytest.approx(math.exp(-a * m), rel=1e-9)


@pytest.mark.parametrize('M', [None, 1.0, 3.0])
def test_14_windows_of_the_worst_logits(M):
  """The least number of keys, with the query's own, which takes nothing."""
  head = subjects.read(rpe.get('stick_breaking', H)).all_attended[0]
  said = tightness.judge(head, M, EPS)
  assert said.verdict == 'tight'
  weights = np.concatenate([[0.0], sticks(np.full(9000, -(M or 0.0)))])
  for eps, w in said.window.items():
    assert weights[w:].sum() <= float(EPS[eps]) < weights[w - 1 :].sum()
    bound = 1 + math.log(1 / float(EPS[eps])) / softplus(-(M or 0.0))
    assert w - 1 <= bound * (1 + 2e-5)


def test_14_a_heat_of_the_content_leaves_all_of_it():
  c, M, w = 0.43, 1.0, 50
  left = [
    sticks(np.full(i, -M * c * math.log(i)))[w - 1 :].sum()
    for i in (10**2, 10**4, 10**6)
  ]
  assert left == sorted(left) and left[-1] > 0.8
  i, eps = 10**4, 0.01
  s = c * math.log(i)
  grown = 1 + math.ceil(math.log(1 / eps) / softplus(-M * s))
  assert sticks(np.full(i, -M * s))[grown - 1 :].sum() <= eps
  encoding = rpe.get('stick_breaking*ssmax', H)
  assert {h.verdict for h in theory.tight(encoding, M=0)} == {'tight'}
  (head, _) = theory.tight(encoding, M=1)
  assert head.verdict == 'not tight' and 'c = 0.43' in head.argument


GOLDEN = dict(
  W1=np.asarray([[0.0, 0, 1, 0], [0, 0, 0, -1]]),
  b1=np.zeros(2),
  W2=np.asarray([[-1.0, 1], [1, -1]]),
  b2=np.zeros(2),
)


def test_15_golden_slopes():
  """k = (.5, .25) and a mix of +-1: kappa = (.245, .505)."""
  one = rpe.get('dape', H)
  formulas = subjects.read('-t/2').heads, subjects.read('-t/4').heads
  found, why = mixture.of_heads(one.score, [f for (f,) in formulas], GOLDEN)
  assert not why and [x.g for x in found] == ['t', 't']
  assert [x.kappa for x in found] == pytest.approx([0.245, 0.505], abs=1e-6)


def mixed(params, b, z):
  """DAPE's logits of one query in NumPy: z, b [H, n], the newest key first."""
  y = params['W1'] @ np.concatenate([z, b]) + params['b1'][:, None]
  y = np.where(y > 0, y, 0.01 * y)
  return z + b + params['W2'] @ y + params['b2'][:, None]


def drawn(seed, scale):
  one = rpe.get('dape', H).score
  params = one.init(jax.random.key(seed), 8)
  return {k: scale * np.asarray(v, np.float64) for k, v in params.items()}


KERNELS = {
  'linear': ('t', lambda t: -t * np.ones((H, 1))),
  'type1': (
    'log(1+t)',
    lambda t: -np.log1p((np.asarray([[2.0**-4], [2.0**-8]]) * t) ** 2),
  ),
}


@pytest.mark.parametrize('kernel', KERNELS)
@pytest.mark.parametrize('seed', range(4))
def test_15_mixed_heads_by_their_slopes(kernel, seed):
  """Logits are z - kappa g + O(1), so kappa decides what is far."""
  g, bias = KERNELS[kernel]
  params = drawn(seed, 2.0)
  one = dataclasses.replace(rpe.get(kernel, H), score=rpe.get('dape', H).score)
  heads = subjects.read(one, mix=params).all_attended
  M, border = 0.3, {'t': 0, 'log(1+t)': 1}[g]
  t = np.geomspace(1e3, 1e9, 400)
  slope = np.asarray([head.mixed.kappa for head in heads])[:, None]
  z = RNG.uniform(-M, M, (H, len(t)))
  rest = mixed(params, bias(t), z) - z + slope * (t if g == 't' else np.log(t))
  # float32 knows kappa to 1e-7, so that the rest is bounded up to 1e-7 g.
  rest = rest[:, t < 1e6] if g == 't' else rest
  assert np.ptp(rest, axis=1).max() < 20
  w, n = 500, 2 * 10**5
  t = np.arange(float(n))
  z = np.where(t >= w, M, -M) * np.ones((H, 1))
  logits = mixed(params, bias(t), z)
  for head, row in zip(heads, logits, strict=True):
    assert head.mixed.g == g
    said = tightness.judge(head).verdict
    assert said == ('tight' if head.mixed.kappa > border else 'not tight')
    if abs(head.mixed.kappa - border) > 0.5:
      assert (beyond(row, w) < 0.3) == (said == 'tight')


def test_15_what_is_missing_is_named():
  score, params = rpe.get('dape', H).score, drawn(0, 1.0)

  def of(name):
    encoding = dataclasses.replace(rpe.get(name, H), score=score)
    (head, _) = subjects.read(encoding, mix=params).all_attended
    return tightness.judge(head)

  assert 'multiples of t, or of log t' in of('type2').argument
  assert 'multiples of t, or of log t' in of('alibi_floor').argument
  assert of('none').verdict == 'not tight'
  params = GOLDEN | dict(W2=np.asarray([[0.0, 0], [0, 0]]))
  assert 'side of its border' in of('harmonic').argument
  assert 'a heat of q.k that grows' in of('alibi*ssmax').argument
  assert of('alibi*llama4').verdict == 'unknown'  # it grows as .1 ln i
  falls = rpe.get('alibi*log_n:whole=true', H)
  falls = dataclasses.replace(falls, score=score)
  heads = subjects.read(falls, mix=GOLDEN).all_attended
  assert {tightness.judge(h).verdict for h in heads} == {'tight'}
  (head, _) = theory.tight(rpe.get('dape', H))
  assert 'give --workdir' in head.argument


def test_the_command_shows_them(capsys):
  main.main(['--rpe=fire/stick_breaking+dape', '--heads=4', '--eps=0.1,0.01'])
  said = capsys.readouterr().out
  rows = [line.split() for line in said.splitlines()]
  assert ['1', '1-4', 'fire', 'not', 'tight', '-'] in rows
  assert ['2', '3-4', 'dape', 'unknown', '-'] not in rows
  assert ['2', '5-6', 'stick_breaking', 'tight', '5', '/', '8'] in rows
  assert ['2', '7-8', 'dape', 'unknown', '-'] in rows
  assert 'layer 1, fire: bounded score' in said
  assert 'all together: not tight, layer 1, fire' in said
