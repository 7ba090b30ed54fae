"""The pace of clocks and the rate of heats, from the weights of a model."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import config, rpe, runs
from extrapolation.model import layer_rates
from extrapolation.parts import Inputs
from extrapolation.rpe.rates import Rates, initial
from extrapolation.theory import __main__ as theory
from extrapolation.theory import trained
from tests.model.test_composed import built
from tests.receptive_field import small

SPEC = 'alibi@cable*ssmax+none/linear@forget'
T = 40


@functools.cache
def layered():
  return built(SPEC, N=3)


def rates_of(m, params):
  read = layer_rates.needed(params)
  return layer_rates.of_layers(m.encodings, m.config.N, m.config.H, read)


def test_every_head_of_every_layer():
  m, params = layered()
  found = rates_of(m, params)
  assert [len(layer) for layer in found] == [4] * 3
  plain = Rates(1.0, 1.0, 0.0)
  for layer in (0, 2):
    assert found[layer][2:] == [plain] * 2
    s = np.exp(params['layers'][layer]['heat']['s_0'])
    assert [x.heat for x in found[layer][:2]] == pytest.approx(s.tolist())
  assert all(0 < x.low < x.high and x.heat == 0 for x in found[1])
  assert found[0] != found[2]


def test_no_text_is_slower():
  """What a layer's norm lets through moves its clock at that pace."""
  m, params = built('linear@forget', N=2)
  read = layer_rates.needed(params)
  for i, heads in enumerate(rates_of(m, params)):
    layer = rpe.of_layer(read, i)
    norm = layer['attention_norm']
    u = jax.random.normal(jax.random.key(i), (2, T, 32))
    u = u / jnp.sqrt((u - u.mean(-1, keepdims=True)).var(-1, keepdims=True))
    u = u - u.mean(-1, keepdims=True)
    x = norm['scale'] * u + norm['bias']
    clock = m.encodings[0].clock
    given = Inputs(positions=jnp.arange(T), x=x)
    steps = clock.increments(given, clock.constrain(layer['clock']))
    assert np.all(steps >= np.array([h.low for h in heads]))
    assert np.all(steps <= np.array([h.high for h in heads]))


def test_what_is_not_known_is_none():
  (head,) = initial(rpe.get('alibi@forget*asentmax', 1), 1)
  assert head == Rates(0.0, float('inf'), None)
  assert initial(rpe.get('alibi', 1), 1) == [Rates(1.0, 1.0, 0.0)]


def test_a_run_has_windows_of_its_weights(tmp_path, capsys):
  """From rpe.json alone: per layer and head, for every text."""
  m, params = layered()
  found = rates_of(m, params)
  e = config.override(config.base(), {'model.rpe': SPEC, 'model.H': '4'})
  runs.write_rpe(str(tmp_path), 'init', e, m.rpe_params(params), found)
  subject = trained.read(str(tmp_path)).after
  assert [h.layer for h in subject.attended] == [1] * 4 + [2] * 4 + [3] * 4
  assert [h.rates for h in subject.attended] == [
    head for layer in found for head in layer
  ]
  theory.main([f'--workdir={tmp_path}', '--format=json'])
  record = json.loads(capsys.readouterr().out)
  for rate, head in zip(found[1], record['heads'][4:8], strict=True):
    said = head['tightness']
    assert (said['layer'], said['part']) == (2, 'linear@forget')
    w = said['window']['0.01']
    exact = np.log(100) / rate.low
    assert exact < w <= 1 + exact * (1 + 2e-5)
  assert record['composed']['verdict'] == 'not tight'  # alibi*ssmax, none
  theory.main([f'--workdir={tmp_path}'])
  assert 'all together: not tight' in capsys.readouterr().out


@pytest.mark.slow
def test_a_mix_of_heads_is_that_of_its_layer(tmp_path, capsys):
  spec = 'dape:width=4@forget+none/fire'
  m, params = small.make(spec, N=3, H=4)
  read = layer_rates.needed(params)
  mixes = layer_rates.mixes(m.encodings, 3, read)
  assert [sorted(x) for x in mixes] == [
    ['W1_0', 'W2_0', 'b1_0', 'b2_0'], [], ['W1_0', 'W2_0', 'b1_0', 'b2_0'],
  ]  # fmt: skip
  e = config.override(config.base(), {'model.rpe': spec, 'model.H': '4'})
  rates = rates_of(m, params)
  runs.write_rpe(str(tmp_path), 'init', e, m.rpe_params(params), rates, mixes)
  heads = trained.read(str(tmp_path)).after.attended
  slope = m.encodings[0].parts[0].score.slope
  k = jnp.asarray([2.0**-4, 2.0**-8])  # of alibi
  for layer, first in ((0, 0), (2, 8)):
    own = {n[:-2]: v for n, v in mixes[layer].items()}
    kappa = [head.mixed.kappa for head in heads[first : first + 2]]
    assert kappa == pytest.approx(slope(own, k).tolist(), rel=1e-5)
  assert not any(h.mixed for h in (*heads[2:8], *heads[10:]))
  theory.main([f'--workdir={tmp_path}'])
  said = capsys.readouterr().out
  assert said.count('mixed heads: logit = q.k - kappa g + O(1)') >= 2


def test_a_run_without_them_is_read_as_before(tmp_path):
  about = dict(name='linear@forget', H=2, hyper={}, train_length=8, init={})
  (tmp_path / 'rpe.json').write_text(json.dumps(about))
  heads = trained.read(str(tmp_path)).after.attended
  assert len(heads) == 2 and not heads[0].clock_valued


def test_after_training_they_are_those_of_the_end(tmp_path):
  """Also where nothing but the clock is learned."""
  rate = dict(low=0.5, high=1.0, heat=0.0)
  about = dict(name='linear@forget', H=1, hyper={}, train_length=8)
  about |= dict(init={}, final={})
  about['rates'] = dict(init=[[rate]], final=[[rate | dict(low=0.25)]])
  (tmp_path / 'rpe.json').write_text(json.dumps(about))
  run = trained.read(str(tmp_path))
  for subject, low in ((run.before, 0.5), (run.after, 0.25)):
    (head,) = subject.attended
    assert head.rates.low == low and head.clock_valued
