"""Laws that every task obeys; a new file is under all of them."""

import functools
import math
import pathlib

import numpy as np
import pytest

from extrapolation import geometry
from extrapolation.data import tasks
from extrapolation.data.tasks import base, digits, ising, masking, texture
from tests import pace

MESH = pathlib.Path(__file__).parent / 'mesh.edges'
GRIDS = (8, 9), (8, 12), (16, 9), (23, 30)
# A task, and sizes that grow; the first is the smallest of an evaluation.
SPECS = {
  'ising': GRIDS,
  'ising:states=2:beta=0.5:masked=0.2:side=32:sweeps=20': GRIDS,
  'ising:height=2': ((2, 16), (2, 17), (2, 40), (2, 4608)),
  'ising:height=3:masked=0.5': ((3, 5), (3, 8), (3, 40)),
  'tree': ((3,), (4,), (7,)),
  'tree:r=3:masked=0.5:symbols=2': ((2,), (3,), (5,)),
  'tree:r=1': ((6,), (7,), (20,)),
  'tree:at=leaf': ((3,), (4,), (7,)),
  'tree:at=leaf:r=3:masked=0.3': ((1,), (2,), (5,)),
  'tree:at=leaf:r=1': ((6,), (7,), (20,)),
  f'graph:file={MESH}': ((20,), (21,), (50,), (72,)),
  f'graph:file={MESH}:masked=0.3:states=2': ((9,), (40,), (72,)),
  'copy': ((8,), (9,), (30,)),
  'reverse:symbols=3': ((8,), (9,), (30,)),
  'texture': GRIDS,
  'texture:picture=coins:levels=4': GRIDS,
  'digits': ((8, 8), (8, 12), (16, 16), (23, 30)),
}
MASKED = [s for s in SPECS if s[:4] in ('isin', 'text', 'tree', 'grap')]
NEEDS = dict(texture='skimage', digits='sklearn')


def of(spec):
  """A task and its sizes."""
  name = spec.partition(':')[0]
  if name in NEEDS:
    pytest.importorskip(NEEDS[name])
  return tasks.parse(spec), SPECS[spec]


@pytest.fixture(params=SPECS)
def case(request):
  return of(request.param)


@pytest.fixture(params=[s for s in SPECS if s != 'digits'])
def cropped(request):
  """Those whose larger examples contain the smaller ones."""
  return of(request.param)


@pytest.fixture(params=MASKED)
def masked(request):
  return of(request.param)


def drawn(task, size, within, count=20, stream='train', seed=3):
  return [
    task.draw(n, size, within=within, stream=stream, seed=seed)
    for n in range(count)
  ]


@functools.cache
def distances(kind, axes, size):
  g = geometry.parse(f'{kind}:{axes}' if axes else kind)
  places = g.places(size)
  return np.asarray(g.distance(places[:, None], places[None]))


def beside(task, size):
  """[T, T]: whether two places are neighbours."""
  kind = task.geometries[0]
  axes = task.label.partition('r=')[2][:1] or '2' if kind == 'tree' else ''
  if kind == 'graph':
    axes = str(MESH)
  return distances(kind, axes, size) == 1


def test_every_task_is_here():
  assert {spec.partition(':')[0] for spec in SPECS} == set(tasks.names())


def test_what_an_example_is(case):
  task, sizes = case
  for size in sizes[::2]:
    T = len(beside(task, size))
    t = 1 if task.kind == 'classes' else T
    for e in drawn(task, size, sizes[0]):
      assert e.inputs.shape == (T,) and e.inputs.dtype == np.int32
      assert e.targets.shape == (t,) and e.targets.dtype == np.int32
      assert e.weights.shape == (t,) and e.weights.dtype == np.float32
      assert e.optimum.shape == (t,) and e.optimum.dtype == np.float32
      assert set(np.unique(e.weights)) <= {0, 1} and e.weights.sum() > 0
      assert 0 <= e.inputs.min() and e.inputs.max() < task.V
      assert 0 <= e.targets.min() and e.targets.max() < task.symbols
      assert np.isnan(e.optimum[e.weights == 0]).all()
      assert not (e.optimum < 0).any()
  assert task.kind in base.KINDS and task.source
  assert task.chance == pytest.approx(math.log(task.symbols))


def test_masked_places_are_isolated_and_scored_ones_masked(masked):
  task, sizes = masked
  for size in sizes[:3:2]:
    near = beside(task, size)
    for e in drawn(task, size, sizes[0]):
      hidden = e.inputs == task.mask
      assert not near[hidden][:, hidden].any()
      np.testing.assert_array_equal(e.inputs[~hidden], e.targets[~hidden])
      assert hidden[e.weights > 0].all()


def neighbours(task, size, e):
  """The sorted ids around each target."""
  near = beside(task, size)
  return [sorted(e.inputs[row].tolist()) for row in near[e.weights > 0]]


def test_the_same_targets_at_every_size(case):
  """With the same ids around them: each sees all of its neighbours."""
  task, sizes = case
  first = drawn(task, sizes[0], sizes[0])
  for size in sizes:
    for a, b in zip(first, drawn(task, size, sizes[0]), strict=True):
      at, there = a.weights > 0, b.weights > 0
      np.testing.assert_array_equal(a.targets[at], b.targets[there])
      np.testing.assert_array_equal(a.optimum[at], b.optimum[there])
      if task.kind == 'masked' and np.prod(size) < 2000:
        assert neighbours(task, sizes[0], a) == neighbours(task, size, b)


def crops(ids, small, size):
  ids = ids.reshape(size)
  for y in range(size[0] - small[0] + 1):
    for x in range(size[1] - small[1] + 1):
      yield ids[y : y + small[0], x : x + small[1]].ravel()


def hanging(ids, depth, below, r):
  """The trees of a depth in a tree that end where it does."""
  starts = np.cumsum([0, *(r**k for k in range(depth + 1))])
  levels = np.split(ids, starts[1:-1])[depth - below :]
  for i in range(len(levels[0])):
    yield np.concatenate(
      [x[i * r**k : (i + 1) * r**k] for k, x in enumerate(levels)]
    )


def test_a_smaller_example_is_a_part_of_a_larger(cropped):
  task, sizes = cropped
  for small, size in [(sizes[0], sizes[1]), (sizes[1], sizes[2])]:
    pairs = zip(
      drawn(task, small, sizes[0], 9), drawn(task, size, sizes[0], 9),
      strict=True,
    )  # fmt: skip
    for a, b in pairs:
      n = len(a.targets)
      if task.kind == 'sequence':
        np.testing.assert_array_equal(a.targets, b.targets[-n:])
        continue
      if task.geometries == ('grid',):
        if np.less(size, small).any():
          continue
        there = crops(b.inputs, small, size)
      elif task.geometries == ('graph',):
        g = geometry.parse(f'graph:{MESH}')
        at = np.isin(g.places(size)[:, 0], g.places(small)[:, 0])
        there = [b.inputs[at]]
      elif 'leaf' in task.label:
        r = int(task.label.partition('r=')[2][:1] or 2)
        there = hanging(b.inputs, size[0], small[0], r)
      else:
        there = [b.inputs[:n]]
      assert a.inputs.tolist() in [ids.tolist() for ids in there]


def test_an_example_is_its_number_seed_and_stream(case):
  task, (within, *_, size) = case

  def ids(n, stream='train', seed=3):
    e = task.draw(n, size, within=within, stream=stream, seed=seed)
    return tuple(e.inputs.tolist())

  before = {n: ids(n) for n in (7, 0, 40)}
  for cache in (ising._canvas, texture._part, digits._digits):
    cache.cache_clear()
  assert {n: ids(n) for n in (40, 7, 0)} == before
  others = {ids(7, stream) for stream in ('train', 'valid', 'test')}
  others |= {ids(7, seed=seed) for seed in (4, 5, 2**32 - 1)}
  assert len(others) == 6


def test_the_share_that_is_masked(masked):
  task, sizes = masked
  if task.label.startswith('tree') and 'r=1' in task.label:
    pytest.skip('of so few vertices many would have none, were none chosen')
  size = sizes[2]
  share = task.label.partition('masked=')[2].partition(':')[0]
  want = float(share or tasks.defaults(task.name)['masked'])
  inputs = np.stack([e.inputs for e in drawn(task, size, sizes[0], 200)])
  if 'leaf' in task.label:
    r = int(task.label.partition('r=')[2][:1] or 2)
    assert not (inputs[:, : -(r ** size[0])] == task.mask).any()
    inputs = inputs[:, -(r ** size[0]) :]
  # Of a tree, whole levels are masked together: fewer independent numbers.
  error = 5 * math.sqrt(want / inputs.size) * (8 if task.name == 'tree' else 1)
  assert abs((inputs == task.mask).mean() - want) < error


def test_none_is_masked_but_one_where_an_example_had_no_target():
  e = masking.example(
    ids=np.arange(4),
    order=np.array([0.2, masking.NEVER, 0.6, 0.5]),
    share=0.1,
    inside=np.array([False, True, True, True]),
    nats=np.ones(4),
    mask=9,
  )
  assert e.inputs.tolist() == [0, 1, 2, 9] and e.weights.tolist() == [
    0,
    0,
    0,
    1,
  ]


def test_a_decoder_reads_what_it_has_written():
  for name, step in (('copy', 1), ('reverse', -1)):
    task = tasks.parse(f'{name}:symbols=5')
    for e in drawn(task, (9,), (4,)):
      np.testing.assert_array_equal(e.source[::step], e.targets)
      assert e.inputs[0] == 5 == task.V - 1
      np.testing.assert_array_equal(e.inputs[1:], e.targets[:-1])
      assert e.weights.tolist() == [0] * 5 + [1] * 4
      assert (e.optimum[5:] == 0).all()


def test_labels_and_sources():
  assert tasks.parse('task:copy:symbols=8').label == 'copy:symbols=8'
  assert tasks.parse('ising:beta=0.9').label == 'ising'


@pytest.mark.parametrize(
  'spec', ['ising', 'ising:height=2', 'tree', 'tree:at=leaf', 'copy', 'texture']
)
def test_an_example_takes_less_than_two_milliseconds(spec):
  """Of 512 cells, in the mean."""
  if spec == 'texture':
    pytest.importorskip('skimage')
  task = tasks.parse(spec)
  size = {'grid': (16, 32), 'tree': (8,), 'both': (512,)}[task.geometries[0]]
  if 'height' in spec:
    size = (2, 256)
  pace.within(64 * 0.002, lambda: drawn(task, size, size, 64), trials=3)


@pytest.mark.parametrize(
  'spec, says',
  [
    ('isnig', "no task 'isnig' .did you mean 'ising'.*there are: copy, digits"),
    ('ising:flip=0.1', "'flip'; it has: beta, states, masked, height, side"),
    ('ising:beta=x', "ising: beta: 'x' is no number"),
    ('ising:beta=1.0987', r'0 <= beta < ln.1 \+ sqrt.4.. = 1.0986'),
    ('ising:beta=nan', 'beta = nan: task ising needs 0 <= beta'),
    ('ising:states=1', 'states = 1: task ising needs 2 to 16'),
    ('ising:masked=0', 'masked = 0.0: task ising needs 0 < masked <= 0.5'),
    ('ising:masked=0.6', 'masked = 0.6'),
    ('ising:side=15', 'side = 15: task ising needs an even one'),
    ('ising:height=200', 'height = 200: task ising needs 0 to 128'),
    ('ising:sweeps=0', 'sweeps = 0: task ising needs 1 to 1,000,000'),
    ('tree:r=0', 'r = 0: task tree needs 1 to 64'),
    ('tree:flip=0', 'flip = 0.0: task tree needs 0 < flip < 1'),
    ('tree:at=top', "at = 'top': task tree has root, leaf"),
    ('tree:symbols=1', 'symbols = 1: task tree needs 2 to 256'),
    ('tree:masked=0.6', 'needs 0 < masked <= 0.5'),
    ('tree:masked=2:at=leaf', 'needs 0 < masked <= 1'),
    ('copy:symbols=1', 'symbols = 1: task copy needs 2 to 65,536'),
    ('texture:picture=lena', "picture = 'lena': task texture has astronaut, "),
    ('texture:levels=1', 'levels = 1: task texture needs 2 to 256'),
    ('digits:levels=3', "'levels'; it has: none"),
  ],
)
def test_a_bad_task_is_one_line(spec, says):
  with pytest.raises(ValueError, match=says) as error:
    tasks.parse(spec)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  'spec, size, within, says',
  [
    ('ising', (16,), (16,), 'has the axes height x width, not 16'),
    ('ising', (16, 16), (16,), 'has the axes height x width, not 16'),
    ('ising', (0, 16), (0, 16), 'height x width, not 0x16'),
    ('ising', (16, 16), (8, 32), '16x16 does not contain 8x32, whose targets'),
    ('ising', (2, 9), (2, 9), '2x9 is too small; the smallest is 3x3'),
    ('ising', (9, 9), (3, 3), '3x3 has one cell whose neighbours are all in'),
    ('ising', (129, 9), (9, 9), '129x9 is too large; the largest is 128x128'),
    ('ising:height=2', (2, 9000), (2, 9), 'largest is 2x8192, that of the'),
    ('ising:height=3', (3, 9), (2, 9), 'every size is 3 high, not 2'),
    ('tree', (3, 3), (3, 3), 'has the axes depth, not 3x3'),
    ('tree', (9,), (1,), 'size 1 is too small; the smallest is 2'),
    ('tree', (2,), (3,), 'size 2 does not contain 3'),
    ('tree', (20,), (3,), 'the largest is 19, as r=2 has more than 1,048,576'),
    ('tree:r=3', (10**9,), (3,), 'the largest is 12, as r=3'),
    ('tree:r=1', (10**9,), (3,), 'the largest is 1048575'),
    ('copy', (8, 8), (8, 8), 'has the axes length, not 8x8'),
    ('copy', (8,), (9,), 'size 8 does not contain 9'),
    ('texture', (200, 9), (9, 9), 'largest is 128x512, as parts of the pic'),
    ('texture:picture=coins', (9, 97), (9, 9), 'the largest is 303x96'),
    ('digits', (8,), (8,), 'has the axes height x width, not 8'),
    ('digits', (1, 8), (1, 8), '1x8 is too small; the smallest is 2x2'),
    ('digits', (8, 9999), (8, 8), 'largest is 1024x1024, 128 times that of a'),
  ],
)
def test_a_bad_size_is_one_line(spec, size, within, says):
  name = spec.partition(':')[0]
  if name in NEEDS:
    pytest.importorskip(NEEDS[name])
  task = tasks.parse(spec)
  for f in (
    lambda: task.check(size, within),
    lambda: task.draw(0, size, within=within, stream='test', seed=0),
  ):
    with pytest.raises(ValueError, match=f'task {name}: .*{says}') as error:
      f()
    assert '\n' not in str(error.value)
