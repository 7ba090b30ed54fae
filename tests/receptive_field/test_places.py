"""Fields of encoders against their definition, and the command on a run."""

import csv
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import attention, config, geometry, runs, theory, train
from extrapolation.geometry import counts
from extrapolation.model import logits
from extrapolation.receptive_field import Settings, places, study
from extrapolation.receptive_field import __main__ as command
from extrapolation.receptive_field.estimators import truncation
from tests.model.test_space import built, ids
from tests.test_places import GRID, experiment

SPACES = {
  'both': (12,),
  'grid': (3, 4),
  'grid:norm=l2': (3, 4),
  'tree:2': (3,),
  'grid:3': (2, 2, 3),
}


def model_in(space, **changes):
  return built(**dict(kind='encoder', geometry=space, N=2) | changes)


def apart(space, size, at):
  """The distances of all places from some, as whole numbers."""
  g = geometry.parse(space)
  x = g.places(size)
  t = np.asarray(g.distance(x[at][:, None], x[None]))
  return np.ceil(t).astype(int)


def measured(m, params, x, size, at, targets, output='logit'):
  space = m.space(size)
  n = places.distances(m.config, geometry.sizes.write(size))
  of = places.compiled(m.network, space, n, output, 3)
  bias = m.bias(params, 0, space=space)
  args = params, bias, x, jnp.asarray(at), jnp.asarray(targets)
  return {k: jax.tree.map(np.asarray, f(*args)) for k, f in of.items()}


def sums(values, t, n):
  """Sums over places at each distance: by hand."""
  return np.stack([np.where(t == d, values, 0).sum(-1) for d in range(n)], -1)


@pytest.mark.parametrize(
  'space, rpe',
  [
    *((space, 'type1') for space in ('grid', 'grid:norm=l2')),
    ('both', 'alibi:sides=true'),
    pytest.param('both', 'type1', marks=pytest.mark.slow),
    pytest.param('tree:2', 'type1', marks=pytest.mark.slow),
    pytest.param('grid:3', 'type1', marks=pytest.mark.slow),
  ],
)
def test_every_estimator_is_its_definition(space, rpe):
  size = SPACES[space]
  m, params = model_in(space, rpe=rpe)
  T = len(geometry.parse(space).places(size))
  x, at, targets = ids(1, T), [1, T // 2], [3, 5]
  out = measured(m, params, x, size, at, targets)
  t = apart(space, size, at)
  n, shape = int(t.max()) + 1, m.space(size)

  seen, flat = [], []

  def attend(q, k, v, bias, layer):
    del layer
    rest = bias, shape.geometry, shape.places, shape.keys
    o, p = attention.attend_places_with_weights(q, k, v, *rest)
    _, even = attention.attend_places_with_weights(0 * q, k, v, *rest)
    seen.append(p[0][:, np.asarray(at)])
    flat.append(even[0][:, np.asarray(at)])
    return o

  m.hidden(params, x, space=shape, attend=attend)
  mass, of_bias, _ = out['reference']
  assert mass.shape[-1] >= n and (mass[..., n:] == 0).all()
  for got, want in ((mass, seen), (of_bias, flat)):
    want = sums(np.asarray(want), t, mass.shape[-1])
    np.testing.assert_allclose(got, want, atol=1e-5)
    np.testing.assert_allclose(got.sum(-1), 1, rtol=1e-5)

  E = params['embed']['embedding']

  def answer(rows, i):
    with_rows = {**params, 'embed': {'embedding': rows}}
    y = m.hidden(with_rows, jnp.arange(T)[None], space=shape)[0, i]
    return logits(params, y).max()

  @jax.jit
  def loss(hidden, i, target):
    def near(q, k, v, bias, layer):
      del layer
      rest = bias, shape.geometry, shape.places, shape.keys
      return attention.attend_places_with_weights(
        q, k, v, *rest, hidden=hidden
      )[0]

    y = m.hidden(params, x, space=shape, attend=near)[0, i]
    return -jax.nn.log_softmax(logits(params, y))[target]

  gradient = jax.jit(jax.grad(answer))
  for i in range(2):
    norms = np.linalg.norm(gradient(E[x[0]], at[i]), axis=-1)
    want = sums(norms / norms.sum(), t[i], mass.shape[-1])
    np.testing.assert_allclose(out['gradient'][i], want, atol=2e-5)

  for j, context in enumerate(truncation.contexts(mass.shape[-1])):
    for i in range(2):
      want = loss(jnp.asarray(t[i] >= context)[None], at[i], targets[i])
      np.testing.assert_allclose(out['truncation'][i, j], want, rtol=1e-4)


def test_a_context_of_the_first_places_is_the_shorter_text():
  """Hidden places do not exist: from the end of a line it is a shorter one."""
  m, params = model_in('both')
  x, T = ids(1, 11), 11
  out = measured(m, params, x, (T,), [0], [4])
  shorter = jax.jit(lambda x: m.hidden(params, x, space=m.space(x.shape[1:])))
  for j, c in enumerate(truncation.contexts(T)):
    y = shorter(x[:, :c])[0, 0]
    want = -jax.nn.log_softmax(logits(params, y))[4]
    np.testing.assert_allclose(out['truncation'][0, j], want, rtol=1e-4)


@pytest.mark.parametrize(
  'space',
  ['grid', 'tree:2', pytest.param('grid:norm=max', marks=pytest.mark.slow)],
)
def test_the_bias_alone_has_the_weights_of_theory_times_the_counts(space):
  size = dict(SPACES, **{'grid:norm=max': (3, 5)})[space]
  m, params = model_in(space, rpe='type1', N=1)
  g = geometry.parse(space)
  at = g.query(size)
  x = ids(1, len(g.places(size)))
  mass = measured(m, params, x, size, [at], [0])['reference'][1][0, :, 0]
  t, keys = counts.of_query(g, size)
  w = np.exp(np.asarray(m.encoding.bias(jnp.asarray(t), {}))) * keys
  want = np.zeros_like(mass)
  want[:, t.astype(int)] = w / w.sum(-1, keepdims=True)
  np.testing.assert_allclose(mass, want, rtol=1e-4)


@pytest.mark.parametrize(
  'w, N',
  [
    (3, 2),
    *(pytest.param(*x, marks=pytest.mark.slow) for x in ((1, 2), (2, 3))),
  ],
)
def test_a_hard_window_in_each_layer_reaches_exactly_their_sum(w, N):
  m, params = model_in('grid', rpe=f'window:width={w}', N=N)
  out = measured(m, params, ids(1, 48), (6, 8), [0, 20], [0, 0])
  reach = N * (w - 1) + 1
  g = out['gradient']
  assert (g[:, :reach] > 0).all() and (g[:, reach:] == 0).all()
  assert (theory.coverage(g, [1e-12])[1] == reach).all()
  for j, c in enumerate(truncation.contexts(g.shape[1])):
    same = np.allclose(out['truncation'][:, j], out['truncation'][:, -1])
    assert same or c < reach


def test_targets_are_those_of_the_evaluation_and_evenly_spaced():
  weights = np.zeros(20)
  weights[[2, 3, 5, 7, 11, 13, 17]] = 1
  assert places.chosen(weights, 3).tolist() == [2, 7, 17]
  assert places.chosen(weights, 1).tolist() == [2]
  assert places.chosen(weights, 99).tolist() == [2, 3, 5, 7, 11, 13, 17]


FLAGS = ('--tokens=200', '--eps=0.5,0.1', '--resamples=20', '--queries=3',
         '--batch_tokens=200')  # fmt: skip


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """Two runs of a grid, and one of a decoder."""
  from tests import conftest

  path = tmp_path_factory.mktemp('places')
  for name, rpe in (('a', 'type1'), ('b', 'alibi')):
    one = dict(GRID, model=dict(GRID['model'], rpe=rpe))
    train.train(experiment(one), f'{path}/{name}')
  c = conftest.tiny_config(path)
  train.train(config.override(c, {'train.steps': '2'}), f'{path}/line')
  return path


def by_hand(folder):
  """Of the bias alone: the share from distance 11 on, and n(0.1), per head.

  The mean of two examples, each of the mean of its targets.
  """
  run, g, means = runs.load(folder), geometry.parse('grid'), []
  x = g.places((10, 10))
  for n in range(2):
    cells, _ = run.text().read([n], (10, 10), (6, 6), stream='test')
    at = places.chosen(cells.weights[0], 3)
    t = np.asarray(g.distance(x[at][:, None], x[None]))
    b = run.model.bias(run.params, 0, space=run.model.space((10, 10)))[0]
    p = np.exp(np.asarray(b, np.float64))[:, t]  # [H, q, T]
    p /= p.sum(-1, keepdims=True)
    means.append(sums(p, t, 19).mean(1))
  w = np.mean(means, 0)
  return w[:, 11:].sum(-1), 1 + (w.cumsum(-1) <= 0.9).sum(-1)


def test_the_command_writes_what_it_prints(trained, capsys):
  command.main([f'--workdir={trained}/a,{trained}/b', '--size=10x10', *FLAGS])
  said = capsys.readouterr().out
  assert '4 targets of 2 examples of 10x10, test split, trained at 6x6' in said
  out = json.loads((trained / 'a/receptive_field/test-10x10.json').read_text())
  about = out['about']
  assert about['length'] == 19 and about['train_length'] == 11  # distances
  assert (about['size'], about['train_size']) == ('10x10', '6x6')
  assert set(out['network']) == {
    'trf', 'attention_mass', 'gradient', 'truncation'
  }  # fmt: skip
  far, below = by_hand(f'{trained}/a')
  for h in out['heads']:
    assert h['far_mass'] == pytest.approx(far[h['head'] - 1], rel=1e-4)
    assert h['trf_below']['0.1'] == below[h['head'] - 1]
    assert h['verdict'] == 'diverges'  # 1 / t^2 in the plane
    assert h['trf'] == {e: dict(low=None, high=None) for e in ('0.5', '0.1')}
    assert 1 <= h['trf_below']['0.5'] <= h['trf_below']['0.1'] <= 19
    assert 0 < h['far_mass'] < 1 and 0 < h['far_mass_seen']['share'] < 1
  run = runs.load(f'{trained}/a')
  cells, _ = run.text().read([0], (10, 10), (6, 6), stream='test')
  scored = np.flatnonzero(cells.weights[0])
  assert set(places.chosen(cells.weights[0], 3)) <= set(scored.tolist())
  with open(trained / 'a/receptive_field/test-10x10.csv') as f:
    rows = list(csv.DictReader(f))
  assert {r['estimator'] for r in rows} >= {'trf', 'gradient', 'far_mass'}
  both = json.loads((trained / 'receptive_field-10x10.json').read_text())
  assert len(both['runs']) == 2
  for name in ('a/receptive_field/test-10x10.png', 'receptive_field-10x10.png'):
    assert (trained / name).read_bytes()[:4] == b'\x89PNG'


@pytest.mark.parametrize('split', ['valid', 'test'])
def test_with_all_places_the_loss_is_that_of_the_evaluation(trained, split):
  """The mean of examples, each of the mean of its targets."""
  settings = Settings(size='8x9', length=16, tokens=150, queries=99,
                      resamples=2, split=split)  # fmt: skip
  curve = study(f'{trained}/a', settings).record['truncation']
  run, nats = runs.load(f'{trained}/a'), []
  for n in range(2):
    cells, _ = run.text().read([n], (8, 9), (6, 6), stream=split)
    nll = run.model.nll(
      run.params, jnp.asarray(cells.inputs), jnp.asarray(cells.targets),
      space=run.model.space((8, 9)),
    )  # fmt: skip
    nats.append(np.asarray(nll)[cells.weights > 0].mean())
  assert curve[-1]['nats'] == pytest.approx(np.mean(nats), rel=1e-5)


def test_without_a_size_it_is_at_most_four_times_the_training(trained):
  e = runs.load_config(f'{trained}/a')
  assert places.default_size(e) == '10x10'
  large = config.override(e, {'eval.sizes': '6x6,12x12,13x13,30x30'})
  assert places.default_size(large) == '12x12'


@pytest.mark.parametrize(
  'of, flags, message',
  [
    ('a', ['--length=32'], '--length=32 is of decoders'),
    ('a', ['--size=10'], "--size = '10': grid has the axes height x width"),
    ('a', ['--size=4x4'], 'size 4x4 does not contain 6x6'),
    ('a', ['--size=40x40'], 'size 40x40 is too large'),
    ('a', ['--size=10x10', '--tokens=99'], '--tokens=99 is less than one'),
    ('a', ['--split=dev'], '--split=dev: a task has train, valid, test'),
    ('line', ['--size=8x8'], '--size=8x8 is of encoders'),
    ('a,line', [], 'runs of encoder in grid and decoder in line have no axis'),
  ],
)
def test_mistakes_are_named_and_lose_nothing(trained, of, flags, message):
  before = {p: p.stat().st_mtime_ns for p in trained.rglob('*') if p.is_file()}
  folders = ','.join(f'{trained}/{name}' for name in of.split(','))
  with pytest.raises(ValueError, match=message):
    command.main([f'--workdir={folders}', *FLAGS, *flags])
  after = {p: p.stat().st_mtime_ns for p in trained.rglob('*') if p.is_file()}
  assert after == before


@pytest.mark.parametrize(
  'keys', [dict(kind='encoder_decoder', cross='forward'),
           dict(kind='encoder', geometry='grid', pool='mean')],
)  # fmt: skip
def test_what_answers_for_no_place_is_refused(keys):
  e = experiment(GRID)
  section = dict(e.to_dict()['model'], geometry='line') | keys
  c = config.Model(**section)
  with pytest.raises(ValueError, match='an encoder that answers for its cells'):
    places.check(type('E', (), dict(model=c)))
