"""Theorems 8 to 12 of docs/theory.md: one window for every query, or none."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import clock, heat, rpe, theory
from extrapolation.rpe.rates import Rates
from extrapolation.theory import __main__ as main
from extrapolation.theory import limits, subjects, tightness
from extrapolation.theory.attended import Head
from extrapolation.theory.trf_bounds import share

RNG = np.random.default_rng(0)
EPS = {'0.1': share('0.1'), '0.01': share('0.01')}
H = 2
# Spec, verdict of every part of its heads in turn, condition of the last.
SAID = {
  'linear@forget': ['tight'],
  'type1@cable': ['tight'],
  'linear@forget:gate=bias': ['tight'],
  'harmonic@forget': ['not tight'],
  'sandwich@forget': ['not tight'],
  'kerple_log@forget': ['conditional', 'r1 > 1'],
  'type1@segment': ['conditional', 'stationary, ergodic text with separators'],
  'harmonic@segment': ['not tight'],
  'window@segment': ['conditional', 'stationary, ergodic text with separators'],
  'window@forget*ssmax': ['tight'],
  'alibi@randomized': ['tight'],
  'harmonic@randomized': ['not tight'],
  'alibi@stop': ['not tight'],
  'type1@forget*log_n:whole=true': ['tight'],
  'alibi*log_n': ['not tight'],
  'type1*ssmax': ['not tight'],
  'none*ssmax': ['not tight'],
  'none*ssmax:whole=true': ['not tight'],
  'window*asentmax': ['tight'],
  'alibi*asentmax': ['unknown'],
  'harmonic*asentmax': ['not tight'],
  'harmonic*log_n': ['not tight'],
  'harmonic*log_n:whole=true': ['tight'],
  'sandwich*log_n:whole=true': ['unknown'],
  't5*ssmax:whole=true': ['conditional'],
  'bam*ssmax:whole=true': ['conditional', 'p > 0'],
  'alibi_floor*log_n:whole=true': ['conditional', 'M < 3.7886'],
  'rotary+none*log_n': ['not judged', 'not tight'],
}


@pytest.mark.parametrize('spec', SAID)
def test_what_is_said(spec):
  heads = theory.tight(rpe.get(spec, H))
  parts = len([x for x in SAID[spec] if x in VERDICTS])
  assert [h.verdict for h in heads] == SAID[spec][:parts] * (H // parts)
  for condition in SAID[spec][parts:]:
    assert heads[-1].condition == condition
  assert all(h.argument for h in heads)


VERDICTS = {'tight', 'not tight', 'conditional', 'unknown', 'not judged'}


@pytest.mark.parametrize(
  'name', [n for n in rpe.names() if rpe.get(n, H).bias_only]
)
def test_it_is_convergence_without_clock_and_heat(name):
  encoding = rpe.get(name, H)
  words = dict(converges='tight', diverges='not tight')
  for one, other in zip(
    theory.verdict(encoding), theory.tight(encoding), strict=True
  ):
    assert words.get(one.verdict, one.verdict) == other.verdict
    assert one.condition == other.condition


def test_what_is_missing_is_named():
  slow = dataclasses.replace(clock.get('forget', H), pace=None)
  one = dataclasses.replace(rpe.get('alibi', H), clock=slow)
  (head, _) = theory.tight(one)
  assert head.verdict == 'unknown' and 'no pace' in head.argument
  silent = dataclasses.replace(heat.get('ssmax', H), rate=None)
  for whole in (False, True):
    scaled = dataclasses.replace(silent, whole=whole)
    one = dataclasses.replace(rpe.get('alibi', H), heat=scaled)
    (head, _) = theory.tight(one)
    assert head.verdict == 'unknown' and 'no rate' in head.argument
  waves = dataclasses.replace(
    rpe.get('none', 1),
    bias=lambda t, params: (
      -jnp.log(1 + t) * (1.0 + jnp.sin(t.astype(jnp.float32)))
    )[None],
    clock=clock.get('forget', 1),
  )
  (head,) = theory.tight(waves)
  assert head.verdict == 'unknown'
  assert head.argument.startswith('not known: on a clock, bounds that are mono')


def test_a_bound_of_the_logits_settles_what_hangs_on_it():
  encoding = rpe.get('alibi_floor*log_n:whole=true', H)
  assert {h.verdict for h in theory.tight(encoding, M=3.7)} == {'tight'}
  assert {h.verdict for h in theory.tight(encoding, M=3.9)} == {'not tight'}
  cold = rpe.get('alibi*log_n', H)
  assert {h.verdict for h in theory.tight(cold, M=0)} == {'tight'}


def beyond(log_weights, w):
  """Share of the mass at distance w or more."""
  a = np.exp(log_weights - log_weights.max())
  return a[w:].sum() / a.sum()


def gated(b, steps):
  """Log weights of a query at distances 0, 1, ...: the newest step first."""
  return b(np.concatenate([[0.0], np.cumsum(steps)]))


KERNELS = {
  '-t': lambda p: -p,
  '-2*log(1+t)': lambda p: -2 * np.log1p(p),
}


@pytest.mark.parametrize('text', KERNELS)
@pytest.mark.parametrize('low', [0.05, 0.7])
def test_8_windows_of_a_clock_that_is_never_slower(text, low):
  (b,) = subjects.read(text).heads
  head = Head(b, Rates(low, 9.0, 0.0), is_index=False)
  said = tightness.judge(head, eps=EPS)
  assert said.verdict == 'tight'
  for eps, w in said.window.items():
    for kind in range(40):
      steps = low + RNG.exponential(size=5000) * (kind % 4) / 3
      if kind % 5 == 0:  # the near keys far off, and close to each other
        steps[:1] += 50
      assert beyond(gated(KERNELS[text], steps), w) <= float(EPS[eps])


def test_9_gates_have_the_window_of_their_slowest_pace():
  """exp(-a w), with equality for gates that are constant."""
  (b,) = subjects.read('-t').heads
  a = 0.125
  window = tightness.judge(
    Head(b, Rates(a, a, 0.0), is_index=False), eps=EPS
  ).window
  for eps, w in window.items():
    constant = np.full(5000, a)
    assert beyond(gated(KERNELS['-t'], constant), w) <= float(EPS[eps])
    assert beyond(gated(KERNELS['-t'], constant), w - 1) > float(EPS[eps])
    assert w <= 1 + np.log(1 / float(EPS[eps])) / a * (1 + 2e-5)


def test_9_gates_in_the_mean():
  """E sum = 1 / (1 - E f) for independent gates f."""
  z = RNG.normal(size=(2000, 60))
  f = 1 / (1 + np.exp(-z))
  total = 1 + np.cumprod(f, 1).sum(1)
  assert abs(total.mean() - 1 / (1 - f.mean())) < 0.1


def test_8_a_divergent_kernel_has_no_window_on_a_clock():
  log_weights = [
    gated(lambda p: -np.log1p(p), RNG.exponential(size=n))
    for n in (10**3, 10**6)
  ]
  short, long = (beyond(x, 64) for x in log_weights)
  assert long > 0.6 and long > short


def heated(b, i, c, M, whole, w):
  """Share beyond w at query i of the worst logits: +M far and -M near."""
  t, s = np.arange(float(i)), c * np.log(i)
  z = np.where(t >= w, M, -M)
  return beyond(s * (b(t) + z) if whole else s * z + b(t), w)


def test_10_content_heat_has_no_window_but_one_that_grows():
  c, M, slope = 0.2, 1.0, 1 / 4
  b = lambda t: -slope * t  # noqa: E731
  at = (10**2, 10**4, 10**6)
  fixed = [heated(b, i, c, M, False, 12) for i in at]
  assert fixed == sorted(fixed)
  assert heated(b, 10**6, 1.0, M, False, 12) > 0.999
  grown = [
    heated(b, i, c, M, False, 20 + int(2 * c * M / slope * np.log(i)))
    for i in at
  ]
  assert max(grown) < 0.03
  text = theory.tight(rpe.get('alibi*log_n', 8))[1].argument
  assert f'w = (2 c M / {slope}) ln i' in text
  p, w = 3.0, 64  # w = i^(2 c M / (p - 1)), less than i only where M is small
  power = lambda t: -p * np.log1p(t)  # noqa: E731
  for i in at:
    w = int(8 * i ** (2 * c * M / (p - 1)))
    assert heated(power, i, c, M, False, w) < 0.03
  said = theory.tight(rpe.get('type1*log_n', 1))[0].argument
  assert 'w = i^(2 c M / 1), less than i only if M < 3.119' in said


def test_11_heat_on_the_whole_logit_has_a_window():
  """Also for a kernel whose sum diverges; of i^(1 - c g) at most."""
  c, M = 1 / np.log(512), 0.2
  b = lambda t: -np.log1p(t)  # noqa: E731
  w = int(np.exp(2 / c + 2 * M))  # beyond it g > 2 / c
  shares = [heated(b, i, c, M, True, min(w, i // 2)) for i in (10**4, 10**6)]
  assert shares[1] < shares[0] / 50
  cold = [beyond(b(np.arange(float(i))), 512) for i in (10**4, 10**6)]
  assert cold[1] > cold[0] > 0.2


def test_11_golden_receptive_fields():
  """1/(1 + n/2) heated by c ln i: TRF(.01) at query i, by the definition."""
  golden = {
    0.16: {512: 484, 9216: 3611, 100_000: 362},
    1 / np.log(512): {512: 483, 9216: 3565, 100_000: 354},
    0.0: {512: 483, 9216: 8448, 100_000: 89503},
  }
  for c, fields in golden.items():
    for i, field in fields.items():
      b = -np.log1p(np.arange(i) / 2)
      weights = np.exp((c * np.log(i) or 1) * b)
      assert theory.coverage(weights)[1][0] == field


@pytest.mark.parametrize('side', [-1, 1])
def test_11_a_bounded_bias_by_its_gap(side):
  """Tight iff c (g - 2 M) > 1, seen from both sides of it."""
  c, M = 0.5, 0.3
  g = 1 / c + 2 * M + side * 0.8
  b = lambda t: np.where(t < 3, 0.0, -g)  # noqa: E731
  shares = [heated(b, i, c, M, True, 3) for i in (10**2, 10**4, 10**6)]
  assert (shares[-1] < 0.02) if side > 0 else (shares[-1] > 0.98)
  (node,) = subjects.read(lambda t: jnp.where(t < 3, 0.0, -g)).heads
  head = Head(node, Rates(1.0, 1.0, c), is_one=False, whole=True)
  assert tightness.judge(head, M).verdict == (
    'tight' if side > 0 else 'not tight'
  )
  wanted = f'M < {(g - 1 / c) / 2:.5g}' if side > 0 else None
  assert tightness.judge(head).condition == wanted


def test_gap_is_bounded_from_both_sides():
  (node,) = subjects.read(lambda t: -3.0 * t / (1.0 + t)).heads
  low, high = limits.gap(node, limits.at_infinity(node))
  assert low <= 3 <= high and high - low < 1e-5
  (late,) = subjects.read(lambda t: jnp.where(t < 10**6, 0.0, 5.0)).heads
  assert limits.gap(late, limits.at_infinity(late)) is None


def test_12_all_heads_of_all_layers():
  heads = [Head(None, layer=2, text='a'), Head(None, layer=1, text='b')]
  tight = tightness.Tightness('tight', None, '')
  held = tightness.Tightness('conditional', 'M < 1', '')
  for word in ('not tight', 'unknown', 'not judged'):
    bad = tightness.Tightness(word, None, '')
    out = tightness.composed(heads, [held, bad])
    assert out.verdict == word and 'layer 1, b' in out.argument
  assert tightness.composed(heads, [tight, tight]).verdict == 'tight'
  both = tightness.composed(heads, [tight, held])
  assert (both.verdict, both.condition) == ('conditional', 'M < 1')


def test_the_command_has_a_line_for_each_part_and_one_for_all(capsys):
  spec = 'none/kerple_log@forget+harmonic*log_n:whole=true'
  main.main([f'--rpe={spec}', '--heads=4'])
  said = capsys.readouterr().out
  rows = [line.split() for line in said.splitlines()]
  assert ['1', '1-4', 'none', 'not', 'tight'] in rows
  assert ['2', '5-6', 'kerple_log@forget', 'if', 'r1_0', '>', '1'] in rows
  assert ['2', '7-8', 'harmonic*log_n:whole=true', 'tight'] in rows
  assert 'layer 2, kerple_log@forget: clock transfer: ' in said
  assert 'all together: not tight, layer 1, none' in said


def test_values_of_parameters_settle_a_condition(capsys):
  for r1, word in ((2, 'tight'), (0.5, 'not tight')):
    flags = f'--set=r1={r1}', '--heads=2', '--format=json'
    main.main(['--rpe=kerple_log@forget/none@segment', *flags])
    record = json.loads(capsys.readouterr().out)
    heads = [head['tightness'] for head in record['heads']]
    assert [h['verdict'] for h in heads] == [word] * 2 + ['not tight'] * 2
    assert [h['layer'] for h in heads] == [1, 1, 2, 2]
    assert record['composed']['verdict'] == 'not tight'
    assert 'layer ' in record['composed']['argument']
  with pytest.raises(ValueError, match="no parameter 'r3'; it has: r1, r2"):
    main.main(['--rpe=kerple_log@forget', '--set=r3=1'])


@pytest.mark.parametrize(
  ('spec', 'text'),
  [
    ('alibi@forgot', "no clock 'forgot' .did you mean 'forget'"),
    ('alibi*log', 'no heat'),
    ('alibi+none+none', '3 encodings side by side .*4 heads'),
    ('alibi*log_n:s=1', "no hyperparameter 's'; it has: train_length, whole"),
  ],
)
def test_a_spec_that_is_none(spec, text):
  with pytest.raises(ValueError, match=text):
    main.main([f'--rpe={spec}', '--heads=4'])


def test_parts_keep_what_is_known_of_them():
  """Nothing of one part is said of the heads of another."""
  one = rpe.get('linear@stop+linear@forget+none*ssmax+alibi', 4)
  assert one.clock.pace is None and not one.clock.positive
  assert [h.verdict for h in theory.tight(one)] == [
    'not tight', 'tight', 'not tight', 'tight',
  ]  # fmt: skip
  assert one.form.parts == ()


def test_10_golden_windows():
  """2 M = 1, c = 1 / ln 512: the first w, e^{2 M s_i} T_{w,i} <= eps B_i."""
  golden = {
    'type1': (190, 452, 692, 1006),
    'type2': (25, 28, 31, 33),
    'alibi': (90, 98, 104, 110),
  }
  kernels = dict(
    type1=lambda t: -np.log1p((t / 2) ** 2),
    type2=lambda t: -(np.log(3 + t / 2) ** 2),
    alibi=lambda t: -t / 16,
  )
  for name, windows in golden.items():
    for i, w in zip((512, 9216, 10**5, 10**6), windows, strict=True):
      eps = 0.01 * np.exp(-np.log(i) / np.log(512))
      weights = np.exp(kernels[name](np.arange(float(i))))
      found = theory.coverage(weights, [eps])[1][0]
      assert abs(found - w) <= 1, (name, i, found)
