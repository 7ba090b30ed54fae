"""Runs that read places: trained, scored by size, reported, refused."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import (
  config,
  evaluate,
  generate,
  geometry,
  report,
  runs,
  sweep,
  train,
)
from extrapolation.evaluation import mass_by_distance
from extrapolation.output import table

SIZES = '6x6', '6x8', '10x10'
GRID = dict(
  data=dict(source='ising:side=24:sweeps=20:masked=0.2'),
  model=dict(kind='encoder', geometry='grid', rpe='type1'),
  train=dict(size='6x6'),
  eval=dict(sizes=SIZES, tokens=60),
)
COPY = dict(
  data=dict(source='copy:symbols=4'),
  model=dict(kind='encoder_decoder', cross='forward', rpe='alibi:slope=1'),
  train=dict(size='6'),
  eval=dict(sizes=('6', '9'), tokens=24),
)


def experiment(*changes):
  """A config of a few small steps, and these keys by section."""
  c = config.base()
  c.model.update(N=1, D=16, H=2, F=16, dropout=0.0)
  c.optim.update(lr=3e-3, warmup=1, schedule='constant')
  c.train.update(B=4, steps=3, log_every=1, valid_every=3, valid_tokens=72)
  c.train.checkpoint_every = 3
  c.parallel.data = 1
  for sections in changes:
    for section, keys in sections.items():
      for key, value in keys.items():
        c[section][key] = value
  return config.override(c, {})


@pytest.fixture(scope='module')
def grid(tmp_path_factory):
  """The folder of a run on a grid, and its last metrics."""
  folder = str(tmp_path_factory.mktemp('grid') / 'run')
  return folder, train.train(experiment(GRID), folder)


def by_hand(folder, name, numbers=range(64)):
  """(number, place) -> nats and optimum of each target, in plain numpy."""
  r, least = runs.load(folder), (6, 6)
  size = config.size(r.config.model, name)
  text, out = r.text(), []
  for n in numbers:
    cells, optimum = text.read([n], size, least, stream='test')
    logits = r.model.logits(
      r.params, jnp.asarray(cells.inputs), space=r.model.space(size)
    )
    lp = np.asarray(jax.nn.log_softmax(logits))[0]
    for i in np.flatnonzero(cells.weights[0]):
      out.append((-lp[i, cells.targets[0, i]], optimum[0, i]))
      if len(out) >= 60 and i == np.flatnonzero(cells.weights[0])[-1]:
        return np.array(out)
  raise AssertionError('too few targets')


def test_a_row_is_the_mean_of_its_targets_and_of_the_best_there_is(grid):
  folder, last = grid
  assert math.isfinite(last['valid_loss']) and 0 <= last['valid_accuracy'] <= 1
  rows = evaluate.evaluate(folder)
  assert [row['size'] for row in rows] == list(SIZES)
  assert len({row['tokens'] for row in rows}) == 1
  assert len({row['optimum'] for row in rows}) == 1
  for row in rows[::2]:
    nats = by_hand(folder, row['size'])
    assert row['tokens'] == len(nats)
    nll, best = nats.mean(0)
    np.testing.assert_allclose(row['nll'], nll, rtol=1e-5)
    np.testing.assert_allclose(row['optimum'], best, rtol=1e-5)
    np.testing.assert_allclose(row['excess'], nll - best, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(row['ppl'], math.exp(nll), rtol=1e-5)


def test_a_map_has_its_targets_where_they_are(grid):
  folder, _ = grid
  (row,) = evaluate.evaluate(folder, sizes=('6x6',))
  path = f'{folder}/eval/test-nonoverlap-places-6x6.npy'
  mean = np.load(path).reshape(6, 6)
  asked = ~np.isnan(mean)
  assert asked[1:-1, 1:-1].any()
  assert not asked[[0, -1]].any() and not asked[:, [0, -1]].any()
  assert row['length'] == 36
  text = runs.load(folder).text()
  at = []
  for n in range(64):  # in the order of by_hand
    weights = text.read([n], (6, 6), (6, 6), stream='test')[0].weights[0]
    at += np.flatnonzero(weights).tolist()
  nats = by_hand(folder, '6x6')
  excess = nats[:, 0] - nats[:, 1]
  for place in {*at[: len(nats)]}:
    chosen = [x for x, i in zip(excess, at, strict=False) if i == place]
    np.testing.assert_allclose(mean.ravel()[place], np.mean(chosen), rtol=1e-4)


def test_rows_of_other_sizes_stay_in_the_table(grid):
  folder, _ = grid
  evaluate.evaluate(folder, sizes=('6x6', '8x6'))
  evaluate.evaluate(folder, sizes=('6x6', '6x8'))  # as many places as 8x6
  rows = table.read(f'{folder}/eval/test-nonoverlap.csv')
  assert {'8x6', '6x8'} <= {row['size'] for row in rows}


def test_mass_by_distance_is_all_of_attention(grid):
  folder, _ = grid
  r = runs.load(folder)
  mass = mass_by_distance.of_run(r, r.config)
  assert mass is not None
  np.testing.assert_allclose(mass.measured.sum(-1), 1, rtol=1e-4)
  g = geometry.parse('grid')
  x = g.places((10, 10))
  t = np.abs(x[:, None] - x[None]).sum(-1)
  for h, k in enumerate((2.0**-4, 2.0**-8)):
    w = 1 / (1 + (k * t) ** 2)
    p = w / w.sum(1, keepdims=True)
    want = [p[t == d].sum() / len(t) for d in range(t.max() + 1)]
    np.testing.assert_allclose(mass.of_bias[0, h], want, rtol=1e-3)


@pytest.mark.parametrize(
  'mode', ['jit', pytest.param('pmap', marks=pytest.mark.slow)]
)
def test_two_devices_train_as_one(grid, tmp_path, mode):
  _, alone = grid
  e = experiment(GRID, dict(parallel=dict(data=2, mode=mode)))
  both = train.train(e, str(tmp_path / 'run'))
  for key in ('loss', 'valid_loss', 'grad_norm'):
    np.testing.assert_allclose(both[key], alone[key], rtol=1e-4)


@pytest.fixture(scope='module')
def copies(tmp_path_factory):
  """The folder of a sweep of encoder-decoders, and its rows."""
  path = tmp_path_factory.mktemp('copies')
  changes = dict(sweep=dict(rpe='none', grid='model.cross=none,backward'))
  return path, sweep.sweep(experiment(COPY, changes), str(path))


def test_an_encoder_decoder_is_scored_by_length(copies):
  path, _ = copies
  folder = next(str(p.parent) for p in path.glob('*backward*/config.json'))
  rows = evaluate.evaluate(folder)
  evaluate.evaluate(folder, sizes=('9', '6'))  # the same again
  assert len(table.read(f'{folder}/eval/test-nonoverlap.csv')) == 2
  assert [row['length'] for row in rows] == [6, 9]
  assert all(row['optimum'] == 0 and row['nll'] > 0 for row in rows)


def test_a_classifier_reads_pictures_of_other_sizes(tmp_path):
  pytest.importorskip('sklearn')
  digits = dict(
    data=dict(source='digits'),
    model=dict(kind='encoder', geometry='grid', patch=2, pool='cls',
               rpe='rotary', table='4x4'),
    train=dict(size='8x8'),
    eval=dict(sizes=('8x8', '12x16'), tokens=5),
  )  # fmt: skip
  folder = str(tmp_path / 'run')
  train.train(experiment(digits), folder)
  rows = evaluate.evaluate(folder)
  assert [row['length'] for row in rows] == [16, 48]
  assert all(row['tokens'] == 5 for row in rows)
  assert all(math.isnan(row['optimum']) for row in rows)


def test_sizes_of_one_number_are_reported(copies):
  path, rows = copies
  assert len(rows) == 4
  page = (path / 'report.html').read_text()
  assert 'cross=backward' in page and 'trained at 6, copy' in page


def test_the_page_of_a_sweep_has_the_loss_by_size(tmp_path):
  changes = dict(sweep=dict(rpe='alibi:slope=1,none'))
  e = experiment(GRID, changes)
  sweep.sweep(e, str(tmp_path), make_report=False)
  report.write(str(tmp_path))
  page = (tmp_path / 'report.html').read_text()
  for text in ('Loss by size', 'alibi:slope=1', '10x10', 'trained at 6x6'):
    assert text in page
  assert 'Perplexity by length' not in page
  rows = table.read(tmp_path / 'sweep.csv')
  assert len(rows) == 6
  first = (tmp_path / 'sweep.csv').read_bytes()
  sweep.sweep(e, str(tmp_path))  # all of it is finished
  assert (tmp_path / 'sweep.csv').read_bytes() == first


@pytest.mark.parametrize(
  'changes, said',
  [
    (dict(data=dict(source='sample')),
     'data.source = sample is a text, which model.kind=decoder reads'),
    (dict(data=dict(source='copy')), 'asks for sequence, which'),
    (dict(data=dict(source='tree')), 'has places of tree; set model.geometry'),
    (dict(model=dict(pool='mean')), "answers; it is encoder, model.pool ="),
    (dict(eval=dict(sizes=('6x6', '8x4'))), 'add 6x4'),
    (dict(eval=dict(sizes=('6x6', '99x6'))), 'is too large'),
    (dict(data=dict(source='ising:beta=9')), 'beta = 9'),
  ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line_before_any_folder(
  tmp_path, changes, said
):
  e = experiment(GRID, changes)
  with pytest.raises(ValueError) as error:
    train.train(e, str(tmp_path / 'run'))
  assert said in str(error.value) and '\n' not in str(error.value)
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  'changes, said',
  [
    (dict(train=dict(size='')), 'needs train.size'),
    (dict(train=dict(T=7)), 'train.size = 6x6 has 36 places: leave'),
    (dict(train=dict(size='6')), "train.size = '6': grid has the axes height"),
    (dict(eval=dict(sizes=('6x6', 'big'))), "eval.sizes = 'big'"),
    (dict(eval=dict(sizes=('6x6', '6x6'))), 'one is there twice'),
    (dict(eval=dict(probe='needle')), 'asks a decoder for a token'),
    (dict(parallel=dict(data=1, seq=2)), 'parallel.seq = 2 spreads the tokens'),
    (dict(model=dict(kind='decoder', geometry='line')),
     "train.size = '6x6' is of encoders"),
    (dict(model=dict(patch=4)), 'no whole number of patches'),
  ],
)  # fmt: skip
def test_a_config_that_does_not_fit_is_one_line(changes, said):
  with pytest.raises(ValueError) as error:
    experiment(GRID, changes)
  assert said in str(error.value) and '\n' not in str(error.value)


def test_a_tree_of_another_kind_than_its_task_is_one_line(tmp_path):
  tree = dict(
    data=dict(source='tree:r=3'),
    model=dict(geometry='tree:2'),
    train=dict(size='3'),
    eval=dict(sizes=('3',)),
  )
  with pytest.raises(ValueError, match='40 places at train.size = 3, and'):
    train.train(experiment(GRID, tree), str(tmp_path / 'run'))


def test_a_decoder_refuses_a_task(tmp_path):
  e = experiment(dict(data=dict(source='copy')))
  with pytest.raises(ValueError, match='model.kind=encoder_decoder answers'):
    train.train(e, str(tmp_path / 'run'))


def test_commands_of_texts_refuse_a_run_on_places(grid):
  folder, _ = grid
  with pytest.raises(ValueError, match='scored by size: evaluate --sizes'):
    generate.main([f'--workdir={folder}', '--prompt=a'])
  for changes, said in (
    (dict(window='8'), 'eval.window = 8 is for windows of a text, and task'),
    (dict(protocol='sliding:2'), 'eval.protocol = sliding:2'),
    (dict(sizes=('9x5', '5x9')), 'add 5x5'),
    (dict(lengths=(8,)), 'give --sizes, such as 6x6'),
    (dict(source='sample'), '--source=sample is a text, and this run'),
    (dict(source='tree'), 'has places of tree; set model.geometry'),
    (dict(source='ising:states=3'), 'has 4 ids, and the vocabulary of the run'),
  ):
    with pytest.raises(ValueError) as error:
      evaluate.evaluate(folder, **changes)
    assert said in str(error.value) and '\n' not in str(error.value)


def test_theory_of_a_run_is_of_its_space(grid, capsys):
  from extrapolation.theory import __main__ as theory

  folder, _ = grid
  theory.main([f'--workdir={folder}', '--train=6x6', '--test=10x10'])
  out = capsys.readouterr().out
  assert '4 t keys at distance t' in out and 'beyond 6x6 of 10x10' in out
