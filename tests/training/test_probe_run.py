"""A run on a probe: answers alone are learned, and scored at every length."""

import math
import shutil

import jax
import numpy as np
import pytest

from extrapolation import config, data, evaluate, generate, model, runs, train
from extrapolation.data import probes
from extrapolation.evaluation import answers
from extrapolation.parallel import mesh
from extrapolation.runs import metrics
from tests import conftest

SOURCE = 'probe:recall:pairs=2:keys=4:values=4:filler=2'
T, STEPS = 24, 30


def a_config(path, **changes):
  e = conftest.tiny_config(path)
  keys = {
    'data.source': SOURCE, 'model.rpe': 'alibi', 'optim.lr': '2e-2',
    'train.T': str(T), 'train.B': '16', 'train.steps': str(STEPS),
    'train.checkpoint_every': '10', 'train.valid_every': '10',
    'train.valid_tokens': str(64 * T), 'eval.lengths': '24,48',
    'eval.tokens': '100',
  }  # fmt: skip
  return config.override(e, keys | changes)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """The folder of one short run."""
  path = tmp_path_factory.mktemp('run')
  train.train(a_config(path), str(path / 'run'))
  return path / 'run'


@pytest.fixture
def copy(trained, tmp_path):
  return shutil.copytree(trained, tmp_path / 'copy')


def test_the_loss_of_answers_falls_from_that_of_a_guess(trained):
  rows = metrics.read_metrics(str(trained))
  first, last = (np.mean([r['loss'] for r in rows[s]])
                 for s in (slice(3), slice(-3, None)))  # fmt: skip
  assert first > math.log(4) and last < first - 0.2
  valid = [r for r in rows if 'valid_accuracy' in r]
  assert [r['step'] for r in valid] == [10, 20, 30]
  assert all(0 <= r['valid_accuracy'] <= 1 for r in valid)
  assert valid[-1]['valid_loss'] < valid[0]['valid_loss']


def test_validation_is_of_answers_alone(trained):
  """Nats and accuracy by one forward pass per example, in plain numpy."""
  last = metrics.read_metrics(str(trained))[-1]
  r, probe = runs.load(str(trained)), probes.parse(SOURCE)
  nats, right = [], []
  logits = jax.jit(r.model.logits)
  for n in range(64):
    e = probes.example(probe, n, T, stream='valid')
    lp = np.asarray(
      jax.nn.log_softmax(logits(r.params, e.tokens[None, :-1])[0])
    )
    for i in np.flatnonzero(e.weights):
      nats.append(-lp[i, e.tokens[i + 1]])
      right.append(lp[i].argmax() == e.tokens[i + 1])
  np.testing.assert_allclose(last['valid_loss'], np.mean(nats), rtol=1e-5)
  assert last['valid_accuracy'] == pytest.approx(np.mean(right))


def test_a_resumed_run_is_the_uninterrupted_one(trained, tmp_path):
  e = a_config(tmp_path)
  stopped = tmp_path / 'run'
  shutil.copytree(trained, stopped)
  for later in (20, 30):
    shutil.rmtree(stopped / 'checkpoints' / str(later))
  rows = metrics.read_metrics(str(trained))
  # The tiny config names other folders, which are no part of a run.
  e = runs.load_config(str(trained))
  train.train(e, str(stopped))
  again = metrics.read_metrics(str(stopped))
  for a, b in zip(rows, again, strict=True):
    assert a['loss'] == b['loss'] and a['step'] == b['step']
  a, b = (runs.load(str(x)).params for x in (trained, stopped))
  jax.tree.map(np.testing.assert_array_equal, a, b)


def test_every_length_asks_the_same_and_nats_are_right(trained, tmp_path):
  rows = evaluate.evaluate(
    str(trained), lengths=(48, 24), out=str(tmp_path), batch_tokens=24 * 7
  )
  r, probe = runs.load(str(trained)), probes.parse(SOURCE)
  logits = jax.jit(r.model.logits)
  assert [row['length'] for row in rows] == [24, 48]
  for row in rows:
    assert row['tokens'] == 100 and row['windows'] == 50
    nats, right = [], []
    for n in range(50):
      e = probes.example(probe, n, row['length'], within=24)
      lp = jax.nn.log_softmax(logits(r.params, e.tokens[None, :-1])[0])
      for i in np.flatnonzero(e.weights):
        nats.append(-float(lp[i, e.tokens[i + 1]]))
        right.append(lp[i].argmax() == e.tokens[i + 1])
    np.testing.assert_allclose(row['nll'], np.mean(nats), rtol=1e-5)
    np.testing.assert_allclose(row['ppl'], np.exp(np.mean(nats)), rtol=1e-5)
    np.testing.assert_allclose(row['accuracy'], np.mean(right))
    curve = np.load(tmp_path / f'test-nonoverlap-position-{row["length"]}.npy')
    assert np.isfinite(curve[-1]) and np.isnan(curve[0])


@pytest.mark.slow
def test_a_window_limits_what_is_asked(trained, tmp_path):
  """By a table that weighs nothing beyond it."""
  kw = dict(out=str(tmp_path), lengths=(24,), tokens=20)
  (row,) = evaluate.evaluate(str(trained), window='5', **kw)
  assert row['window'] == '5 5' and row['window_error'] is None
  r, probe = runs.load(str(trained)), probes.parse(SOURCE)
  table = np.array(r.model.bias(r.params, 24))
  table[..., 5:] = -np.inf
  hidden, nats = jax.jit(r.model.network.hidden), []
  for n in range(10):
    e = probes.example(probe, n, 24)
    x = hidden(r.params, table, e.tokens[None, :-1])
    lp = jax.nn.log_softmax(model.logits(r.params, x)[0])
    nats += [-float(lp[i, e.tokens[i + 1]]) for i in np.flatnonzero(e.weights)]
  assert row['tokens'] == len(nats) == 20
  np.testing.assert_allclose(row['nll'], np.mean(nats), rtol=1e-5)


def test_another_probe_in_the_symbols_of_a_run(trained, tmp_path):
  fewer = SOURCE.replace('keys=4', 'keys=3')
  kw = dict(out=str(tmp_path), lengths=(24,), tokens=20)
  (row,) = evaluate.evaluate(str(trained), source=fewer, **kw)
  assert row['source'] == fewer and row['tokens'] == 20
  with pytest.raises(ValueError, match='is not one token of symbols10'):
    evaluate.evaluate(str(trained), source='probe:needle', **kw)


def test_a_run_generates_in_its_symbols(trained):
  written = []
  ids = generate.generate(
    str(trained), '0A1Bab0', 3, write=written.append, temperature=0.0
  )
  text = ''.join(written)
  assert text.startswith('0A1Bab0') and len(ids) == 3
  assert {*text.strip()} <= {*probes.parse(SOURCE).vocabulary.symbols}


@pytest.mark.parametrize(
  'kw, says',
  [
    (dict(lengths=(8, 24)), 'no room at length 8; it needs 9 or more'),
    (dict(protocol='last:2'), 'eval.protocol = last:2 is for windows of a'),
    (dict(window='0'), "window '0': needs full, a number of keys"),
  ],
)
def test_what_does_not_fit_is_found_first(trained, tmp_path, kw, says):
  with pytest.raises(ValueError, match=says):
    evaluate.evaluate(str(trained), out=str(tmp_path), **kw)


def test_a_run_on_other_examples_is_refused(copy, tmp_path):
  e = runs.load_config(str(copy))
  other = config.override(
    e, {'data.source': SOURCE.replace('pairs=2', 'pairs=1')}
  )
  with pytest.raises(ValueError, match='data.source'):
    train.train(other, str(copy))


def test_too_short_a_training_length_makes_no_folder(tmp_path):
  e = a_config(tmp_path, **{'train.T': '8'})
  with pytest.raises(ValueError, match='no room at length 8'):
    train.train(e, str(tmp_path / 'run'))
  assert not (tmp_path / 'run').exists()


def test_zero_targets_are_the_first_examples(trained, tmp_path, capsys):
  (row,) = evaluate.evaluate(
    str(trained), out=str(tmp_path), lengths=(24,), tokens=0
  )
  assert row['windows'] == answers.EXAMPLES
  assert 'the first 256 examples' in capsys.readouterr().out


@pytest.mark.slow
def test_a_mixture_is_trained_and_its_answers_scored(tmp_path):
  text = conftest.tiny_config(tmp_path).data.source
  source = f'mix:0.5*probe:needle:values=4+0.5*{text}'
  e = config.override(
    runs_config(tmp_path), {'data.source': source, 'train.steps': '2'}
  )
  row = train.train(e, str(tmp_path / 'run'))
  assert 'valid_accuracy' in row and row['valid_loss'] > 0
  kw = dict(lengths=(16,), tokens=40, out=str(tmp_path / 'out'))
  (asked,) = evaluate.evaluate(
    str(tmp_path / 'run'), source='probe:needle:values=4', **kw
  )
  assert asked['tokens'] == 40 and 0 <= asked['accuracy'] <= 1


def runs_config(path):
  path = path / 'mixed'
  path.mkdir()
  return conftest.tiny_config(path)


@pytest.mark.slow
def test_every_layout_gives_the_same_loss(trained):
  """Means are over the answers of the whole batch, wherever they are."""
  from extrapolation import training

  e = runs.load_config(str(trained))
  text = data.prepare(source=SOURCE)
  losses = []
  for data_axis in (1, 4):
    one = config.override(e, {'parallel.data': str(data_axis)})
    p = training.make(one, text.tokenizer.V)
    state = p.init(jax.random.key(0))
    batch = text.batches(B=16, T=T, seed=0)[0]
    placed = mesh.layout(one.parallel).global_from_local(batch, 16)
    bias = p.bias_table(state.params)
    sums = p.answer_step(state.params, placed, bias)
    losses.append([float(x) for x in sums])
    with_eval = p.eval_step(state.params, placed, bias)
    np.testing.assert_allclose(losses[-1][:2], [*map(float, with_eval)])
  np.testing.assert_allclose(*losses, rtol=1e-5)
