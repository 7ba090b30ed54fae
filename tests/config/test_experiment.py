"""An experiment: frozen, hashable, and the same through a dictionary."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import Primitive

from extrapolation import config, rpe


def shuffled(values):
  """The same dictionary, its keys in the opposite order at every level."""
  if not isinstance(values, dict):
    return values
  return {key: shuffled(values[key]) for key in reversed(values)}


@pytest.mark.parametrize('name', rpe.names())
def test_it_is_its_dictionary_also_through_json(name):
  e = config.override(
    config.base(),
    {'model.rpe': name, 'eval.lengths': '8,16', 'sweep.seeds': '1,2'},
  )
  text = json.dumps(e.to_dict())
  for values in (e.to_dict(), json.loads(text), shuffled(json.loads(text))):
    same = config.from_dict(values)
    assert same == e and hash(same) == hash(e)
  other = config.from_dict(e.to_dict() | dict(seed=1))
  assert other != e and len({e, other, same}) == 2


def test_it_and_its_sections_are_frozen():
  e = config.Experiment()
  with pytest.raises(dataclasses.FrozenInstanceError):
    e.seed = 1  # type: ignore[misc]
  with pytest.raises(dataclasses.FrozenInstanceError):
    e.train.T = 1  # type: ignore[misc]
  with pytest.raises(TypeError):
    e.model.rpe_args['width'] = 1  # type: ignore[index]
  e.to_dict()['model']['N'] = 99  # a copy
  assert e == config.Experiment()


def test_hyperparameters_left_out_are_the_defaults():
  bare = config.Model(rpe='window')
  assert bare == config.Model(rpe='window', rpe_args=rpe.defaults('window'))
  assert bare != config.Model(rpe='window', rpe_args=dict(width=9))
  assert hash(config.Model(rpe='window', rpe_args=dict(width=9)))


def test_encodings_differ_in_the_model_and_not_in_the_network():
  a, b = config.Model(rpe='alibi', N=2), config.Model(rpe='type1', N=2)
  assert a != b and a.network == b.network
  assert config.Model(rpe='alibi', N=3).network != a.network


OLD = dict(  # the first config.json there was, its keys sorted
  data=dict(cache='', source='sample', tokenizer='bytes', vocab=8192),
  eval=dict(batch_tokens=16384, lengths=[512, 9216], protocol='nonoverlap'),
  model=dict(D=512, H=8, N=6, rpe='window', rpe_args=dict(width=64)),
  optim=dict(lr=1, warmup=10),
  seed=3,
  train=dict(B=128, T=512, steps=100),
)


def test_an_older_config_has_the_defaults_of_what_it_does_not_know():
  e = config.from_dict(json.loads(json.dumps(OLD)))
  assert (e.seed, e.train.steps, e.train.keep_every) == (3, 100, 0)
  assert e.model.rpe_args == dict(width=64) and e.model.dropout == 0.1
  assert e.eval.lengths == (512, 9216) and e.eval.window == 'full'
  assert isinstance(e.optim.lr, float)
  assert e.parallel == config.Parallel() and e.sweep == config.Sweep()


@pytest.mark.parametrize(
  'values, message',
  [
    (dict(modle={}), "'modle'.*did you mean 'model'"),
    (dict(train=dict(step=3)), "'train.step'.*did you mean 'steps'"),
    (dict(train=3), "'train' = 3 is no section"),
    (dict(seed='0'), "seed = '0': needs int, got str"),
    (dict(seed=True), 'seed = True: needs int, got bool'),
    (dict(model=dict(scan=1)), 'model.scan = 1: needs bool, got int'),
    (dict(eval=dict(lengths=8)), 'eval.lengths = 8: needs tuple, got int'),
    (dict(model=dict(rpe_args=3)), 'model.rpe_args = 3: needs Mapping'),
    (dict(model=dict(rpe='alibi', rpe_args=dict(k=1))), "hyperparameter 'k'"),
  ],
)
def test_mistakes_in_a_dictionary_are_named(values, message):
  with pytest.raises(ValueError, match=message):
    config.from_dict(values)


@pytest.mark.parametrize('name', rpe.names())
def test_to_make_one_computes_nothing(name, monkeypatch):
  """All can be checked, and a sweep listed, without waiting for XLA."""
  operations, bind = [], Primitive.bind
  monkeypatch.setattr(
    Primitive,
    'bind',
    lambda self, *args, **kw: (
      operations.append(self) or bind(self, *args, **kw)
    ),
  )
  with jax.disable_jit():  # else an operation known already is not bound again
    e = config.override(config.base(), {'model.rpe': name})
    assert config.from_dict(e.to_dict()) == e
    assert not operations
    jnp.zeros(3) + 1  # what would be seen
  assert operations


def test_differences():
  old, new = dict(a=1, b=dict(c=2, d=3)), dict(a=1, b=dict(c=4), e=5)
  assert config.differences(old, new) == [
    'b.c: 2 -> 4',
    "b.d: 3 -> '(absent)'",
    "e: '(absent)' -> 5",
  ]
