"""What is compiled for one experiment serves every one that computes the same.

A compilation is counted by XLA's own event, whatever function asked for it.
"""

import contextlib
import dataclasses

import jax
import numpy as np
import pytest
from immutabledict import immutabledict

from extrapolation import config, training

V = 11
BASE = config.Experiment(
  model=config.Model(rpe='type1', N=1, D=16, H=2, F=32, dropout=0.0),
  optim=config.Optim(warmup=2),
  train=config.Train(T=12, B=2, steps=6),
  parallel=config.Parallel(data=1),
)
TOKENS = np.random.default_rng(0).integers(0, V, (2, 13), dtype=np.int32)
COMPILED = '/jax/core/compile/backend_compile_duration'


def changed(section, **values):
  if 'rpe' in values:  # has hyperparameters of its own
    values = dict(rpe_args=immutabledict()) | values
  part = dataclasses.replace(getattr(BASE, section), **values)
  return dataclasses.replace(BASE, **{section: part})


@contextlib.contextmanager
def compilations():
  """Yields a list that grows by one with each program that XLA compiles."""
  events, on = [], True

  def listen(event, duration, **kw):
    del duration, kw
    if on and event == COMPILED:
      events.append(event)

  jax.monitoring.register_event_duration_secs_listener(listen)
  yield events
  on = False


def run(e):
  """A step and a validation, from one key."""
  p = training.make(e, V)
  state = p.init(jax.random.key(e.seed))
  bias = p.bias_table(state.params)
  nats, _ = p.eval_step(state.params, TOKENS, bias)
  state, metrics = p.step(state, TOKENS, jax.random.key(1), bias)
  return float(nats), float(metrics['loss'])


SAME = {
  'seed': dataclasses.replace(BASE, seed=7),
  'eval': changed('eval', lengths=(8,), window='4'),
  'sweep': changed('sweep', seeds=(1, 2)),
  'data': changed('data', tokenizer='bpe'),
} | {
  name: changed('train', **{name: 3})
  for name in (
    'log_every',
    'keep',
    'keep_every',
    'valid_every',
    'valid_tokens',
    'checkpoint_every',
  )
}


@pytest.mark.parametrize('name', SAME)
def test_what_does_not_enter_the_step_compiles_nothing(name):
  run(BASE)
  a, b = training.make(BASE, V), training.make(SAME[name], V)
  for part in ('step', 'eval_step', 'init', 'rpe_params'):
    assert getattr(a, part) is getattr(b, part), part
  with compilations() as events:
    run(SAME[name])
  assert not events


OTHER = {
  'optim.lr': changed('optim', lr=0.1),
  'train.steps': changed('train', steps=7),
  'train.accumulate': changed('train', accumulate=2),
  'model.F': changed('model', F=16),
  'parallel.mode': changed('parallel', mode='pmap'),
}


@pytest.mark.parametrize('name', OTHER)
def test_what_enters_the_step_has_its_own(name):
  assert training.make(OTHER[name], V).step is not training.make(BASE, V).step


def test_encodings_of_one_form_share_all_but_their_table():
  run(BASE)
  seen = {run(BASE)}
  for name in ('alibi', 'none', 'harmonic', 'type2'):
    e = changed('model', rpe=name)
    p, shared = training.make(e, V), training.make(BASE, V)
    assert p.step is shared.step and p.eval_step is shared.eval_step
    params = p.init(jax.random.key(0)).params
    p.bias_table(params)
    with compilations() as events:
      seen.add(run(e))
    assert not events, name
  assert len(seen) == 5  # and the tables do enter


@pytest.mark.parametrize('name', ['kerple_log', 't5', 'rotary', 'sinusoidal'])
def test_learned_and_rotating_encodings_have_their_own(name):
  p, base = training.make(changed('model', rpe=name), V), training.make(BASE, V)
  assert p.step is not base.step and p.eval_step is not base.eval_step
  learned = p.model.encoding.learned
  assert (p.bias_table(p.init(jax.random.key(0)).params) is None) == learned


def test_loss_and_step_are_those_of_the_bias_computed_inside(monkeypatch):
  """An encoding called learned computes its bias within the step."""
  given = run(BASE)
  encoding = type(training.make(BASE, V).model.encoding)
  monkeypatch.setattr(encoding, 'learned', property(lambda self: True))
  own = training.make(BASE, V)
  monkeypatch.undo()
  assert own.step is not training.make(BASE, V).step
  np.testing.assert_allclose(given, _inside(own), rtol=1e-6)


def _inside(p):
  state = p.init(jax.random.key(0))
  nats, _ = p.eval_step(state.params, TOKENS, None)
  _, metrics = p.step(state, TOKENS, jax.random.key(1), None)
  return float(nats), float(metrics['loss'])
