"""Training: it learns, it resumes to the same bits, and it stops in time."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import config, runs, train, training
from tests.commands import command

V = 257  # bytes, and the end of a text


def with_(c, **overrides):
  """`c` with `section__key=value` changed."""
  return config.override(
    c, {k.replace('__', '.'): str(v) for k, v in overrides.items()}
  )


def final(workdir):
  return runs.load(str(workdir)).params


def assert_same_bits(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture
def tiny(trained):
  """The config of the run that all tests share."""
  return runs.load_config(str(trained))


@pytest.fixture(scope='module')
def plain(trained):
  """The parameters of an undisturbed run."""
  return final(trained)


def test_a_run_is_a_folder_that_says_all(tiny, tmp_path, capsys):
  workdir = tmp_path / 'run'
  last = train.train(tiny, str(workdir))
  out = capsys.readouterr().out
  rows = runs.read_metrics(str(workdir))
  assert [row['step'] for row in rows] == [1, 2, 3, 4, 5, 6]
  assert rows[-1] == last
  for name in ('loss', 'grad_norm', 'param_norm', 'lr', 'tokens_per_s'):
    assert np.isfinite(rows[-1][name])
  assert [row['step'] for row in rows if 'valid_loss' in row] == [3, 6]
  names = {p.name for p in workdir.iterdir()}
  assert {'config.json', 'data.json', 'rpe.json', 'metrics.jsonl',
          'tokenizer.json', 'checkpoints', 'tensorboard'} <= names  # fmt: skip
  assert 'files:' in out and 'sha256' in out


def test_rpe_json_is_in_units_of_the_formula(trained):
  about = json.loads((trained / 'rpe.json').read_text())
  assert (about['name'], about['H'], about['train_length']) == (
    'kerple_log', 2, 16)  # fmt: skip
  r = runs.load(str(trained), text=False)
  want = r.model.rpe_params(r.params)
  np.testing.assert_allclose(about['final']['r1'], want['r1'][0], rtol=1e-6)
  assert np.shape(about['init']['r1']) == (2,)
  assert about['init'] != about['final']


@pytest.mark.slow
def test_half_precision_trains_in_every_form(tiny, tmp_path, trained):
  c = with_(tiny, model__dtype='bfloat16', model__scan=True, model__remat=True)
  row = train.train(c, str(tmp_path / 'short'))
  full = runs.read_metrics(str(trained))[-1]
  assert abs(row['loss'] - full['loss']) < 0.02


def test_the_same_command_again_is_a_no_op(tiny, trained_copy, plain):
  before = (trained_copy / 'metrics.jsonl').read_text()
  assert train.train(tiny, str(trained_copy)) == {}
  assert (trained_copy / 'metrics.jsonl').read_text() == before
  assert_same_bits(final(trained_copy), plain)


class Killed(Exception):
  """Stands for a kill at a given step."""


@pytest.fixture(scope='module')
def with_dropout(request, trained, tmp_path_factory):
  """A config with more or less dropout, and the folder of its plain run."""
  c = runs.load_config(str(trained))
  if not request.param:
    return c, trained
  c = with_(c, model__dropout=request.param)
  folder = tmp_path_factory.mktemp('dropout') / 'run'
  train.train(c, str(folder))
  return c, folder


# Before the first checkpoint, between two and after one.
WHEN = [(0.3, 5), (0.0, 3)]
MORE = [(0.3, 1), (0.3, 3), (0.0, 1), (0.0, 5)]


@pytest.mark.parametrize(
  'with_dropout, at',
  WHEN + [pytest.param(*x, marks=pytest.mark.slow) for x in MORE],
  indirect=['with_dropout'],
)
def test_an_interrupted_run_ends_with_the_same_bits(
  with_dropout, tmp_path, monkeypatch, at
):
  c, undisturbed = with_dropout
  real = runs.Metrics.write

  def write(self, step, **values):
    if step == at:
      raise Killed
    real(self, step, **values)

  with monkeypatch.context() as m:
    m.setattr(runs.Metrics, 'write', write)
    with pytest.raises(Killed):
      train.train(c, str(tmp_path / 'again'))
  train.train(c, str(tmp_path / 'again'))
  assert_same_bits(final(tmp_path / 'again'), final(undisturbed))
  a, b = (runs.read_metrics(str(n)) for n in (tmp_path / 'again', undisturbed))
  for x, y in zip(a, b, strict=True):
    x.pop('tokens_per_s'), y.pop('tokens_per_s')
    assert x == y


def test_a_damaged_newest_checkpoint_costs_steps_and_no_bits(
  tiny, trained_copy, plain, capsys
):
  folder = trained_copy / 'checkpoints' / '6' / 'params'
  path = max((p for p in folder.rglob('*') if p.is_file()),
             key=lambda p: p.stat().st_size)  # fmt: skip
  path.write_bytes(path.read_bytes()[:100])
  train.train(tiny, str(trained_copy))
  out, err = capsys.readouterr()
  assert 'warning: checkpoint of step 6 is damaged' in err
  assert re.search('resuming .* after step 4', out)
  assert_same_bits(final(trained_copy), plain)


def test_accumulation_is_the_same_step_in_parts(tiny, tmp_path):
  whole, parts = (with_(tiny, train__accumulate=n) for n in (1, 4))
  batch = np.random.default_rng(0).integers(0, 9, (4, 17), dtype=np.int32)
  key = jax.random.key(0)
  out = []
  for c in (whole, parts):
    p = training.make(c, V)
    state = p.init(key)
    state, metrics = p.step(state, batch, key, p.bias_table(state.params))
    out.append((metrics['loss'], metrics['grad_norm'], state.step))
  np.testing.assert_allclose(out[0], out[1], rtol=1e-5)


def test_every_step_drops_something_else(tiny):
  p = training.make(with_(tiny, model__dropout=0.3), V)
  batch = np.ones((4, 17), np.int32)
  losses = []
  for step in (0, 1):
    state = p.init(jax.random.key(0))._replace(step=jnp.asarray(step))
    bias = p.bias_table(state.params)
    metrics = p.step(state, batch, jax.random.key(0), bias)[1]
    losses.append(float(metrics['loss']))
  assert losses[0] != losses[1]


def test_a_loss_that_is_not_finite_stops_and_names_the_last_good(
  tiny, tmp_path, monkeypatch
):
  real = training.make

  def poisoned(e, V):
    p = real(e, V)

    def step(state, batch, key, bias):
      bad = int(state.step) == 4  # the fifth step
      state, metrics = p.step(state, batch, key, bias)
      if bad:
        metrics['loss'] = jnp.asarray(np.nan)
      return state, metrics

    return dataclasses.replace(p, step=step)

  monkeypatch.setattr(training, 'make', poisoned)
  with pytest.raises(
    FloatingPointError, match='loss is nan at step 5.*step 4 in'
  ):
    train.train(tiny, str(tmp_path / 'run'))
  assert runs.read_metrics(str(tmp_path / 'run'))[-1]['step'] == 4
  assert runs.load(str(tmp_path / 'run')).step == 4


@pytest.mark.slow
def test_a_real_divergence_stops_too(tiny, tmp_path):
  c = with_(tiny, optim__lr=1e30, optim__clip=0, optim__warmup=0)
  with pytest.raises(FloatingPointError, match=r'at step \d; stopped'):
    train.train(c, str(tmp_path / 'run'))


def test_nothing_is_made_when_the_config_is_wrong(tiny, tmp_path):
  for bad in (dict(model__H=3), dict(data__source='files:/absent'),
              dict(train__T=10**6)):  # fmt: skip
    with pytest.raises((ValueError, FileNotFoundError)):
      train.train(with_(tiny, **bad), str(tmp_path / 'run'))
    assert not (tmp_path / 'run').exists()


def test_another_config_in_the_same_folder_is_refused(
  tiny, trained_copy, plain
):
  c = with_(tiny, optim__lr=0.5)
  with pytest.raises(ValueError, match='optim.lr: 0.01 -> 0.5'):
    train.train(c, str(trained_copy))
  assert_same_bits(final(trained_copy), plain)


@pytest.mark.parametrize(
  'argv, message',
  [
    (
      ['--config.model.rp=alibi'],
      "no config key 'model.rp' (did you mean 'rpe'?)",
    ),
    (['--config.train.steps'], '--config.train.steps needs a value'),
    (
      ['--config.model.rpe=alibbi'],
      "no encoding 'alibbi' (did you mean 'alibi'?)",
    ),
    (['--config.model.rpe_args.width=3'], 'model.rpe_args.width'),
    (['--config.model.H=3'], 'model.H = 3 heads do not divide model.D = 16'),
    (['--config.data.source=files:/absent'], '/absent'),
  ],
)
def test_mistakes_on_the_command_line_are_one_line(
  tiny, tmp_path, capsys, argv, message
):
  from extrapolation import cli

  c = with_(tiny, model__rpe='alibi')
  argv = command(c, tmp_path, '--workdir', str(tmp_path / 'run'), *argv)[3:]
  with pytest.raises(SystemExit) as stopped:
    cli.run(train.main, argv)
  assert stopped.value.code == 2
  lines = capsys.readouterr().err.splitlines()
  assert message in lines[0] and len(lines) == 2
  assert not (tmp_path / 'run').exists()
