"""A Potts model on a given graph against its definition, edge by edge."""

import itertools
import math

import numpy as np
import pytest

from extrapolation import evaluate, geometry, train
from extrapolation.data import tasks
from extrapolation.data.tasks import network
from tests.data.tasks.test_laws import MESH
from tests.test_places import experiment

EDGES = '0 1\n1 2\n2 3\n3 0\n1 3\n3 4\n4 5 2.5\n5 5\n'


@pytest.fixture
def small(tmp_path):
  file = tmp_path / 'small.edges'
  file.write_text(EDGES)
  return file


def test_the_optimum_is_that_of_the_whole_graph(small):
  """p(target | all that is seen), summed over what else is masked."""
  states, beta = 3, 0.7
  task = tasks.parse(
    f'graph:file={small}:states={states}:beta={beta}:masked=0.5:sweeps=3'
  )
  every = np.array(list(itertools.product(range(states), repeat=6)))
  pairs = [(0, 1), (1, 2), (2, 3), (0, 3), (1, 3), (3, 4), (4, 5)]
  p = np.exp(beta * sum(every[:, u] == every[:, v] for u, v in pairs))
  tested = 0
  for number in range(30):
    e = task.draw(number, (6,), within=(6,), stream='train', seed=1)
    seen = e.inputs != task.mask
    fits = (every[:, seen] == e.inputs[seen]).all(-1)
    for i in np.flatnonzero(e.weights):
      right = fits & (every[:, i] == e.targets[i])
      want = -math.log(p[right].sum() / p[fits].sum())
      assert e.optimum[i] == pytest.approx(want, rel=1e-5)
      tested += 1
  assert tested >= 30


def test_streams_and_blocks_have_other_labels():
  task = tasks.parse(f'graph:file={MESH}:sweeps=2')
  labels = [
    task.draw(n, (72,), within=(72,), stream=stream, seed=seed).targets
    for n in (0, 1, 31, 32)
    for stream in ('train', 'test')
    for seed in (0, 1)
  ]
  for a, b in itertools.combinations(labels, 2):
    assert (a == b).mean() < 0.6  # by chance a quarter


@pytest.mark.parametrize('beta, sweeps', [(0.8, 5), (2.5, 1)])
def test_the_mean_loss_of_the_best_prediction_is_its_entropy(beta, sweeps):
  """Within 4 sigma; also of samples that are not those of the model yet."""
  task = tasks.parse(f'graph:file={MESH}:beta={beta}:sweeps={sweeps}')
  excess = variance = 0.0
  for number in range(400):
    e = task.draw(number, (72,), within=(72,), stream='train', seed=2)
    for i in np.flatnonzero(e.weights):
      near = network.read(str(MESH)).edges[[i]].toarray()[0] > 0
      assert (e.inputs[near] != task.mask).all()
      n = (e.targets[near][:, None] == np.arange(4)).sum(0)
      q = np.exp(beta * n)
      q /= q.sum()
      excess += e.optimum[i] + (q * np.log(q)).sum()
      variance += (q * np.log(q) ** 2).sum() - (q * np.log(q)).sum() ** 2
  assert variance > 100 and abs(excess) < 4 * math.sqrt(variance)


def test_equal_neighbours_are_as_likely_as_the_model_says(tmp_path):
  """Of two joined vertices: equal with e^beta / (e^beta + q - 1)."""
  file = tmp_path / 'two.edges'
  file.write_text('0 1\n')
  net, rng = network.read(str(file)), np.random.default_rng(0)
  drawn = network.sample(net, rng, 1.0, 4, 20, 2000)
  equal = np.mean(drawn[0] == drawn[1])
  p = math.e / (math.e + 3)
  assert abs(equal - p) < 4 * math.sqrt(p * (1 - p) / 2000)


def test_classes_and_independent_vertices_have_no_neighbours_among_them():
  net = network.read(str(MESH))
  near = net.edges.toarray() > 0
  assert (near == near.T).all() and not near.diagonal().any()
  u, v = near.nonzero()
  assert (net.classes[u] != net.classes[v]).all() and net.classes.max() < 7
  for seed in range(20):
    taken = network.independent(net, np.random.default_rng(seed).random(72))
    assert not near[taken][:, taken].any()
    assert (near[:, taken].any(1) | taken).all()  # no other could be added


def test_a_part_of_a_graph_is_around_its_centre():
  g = geometry.parse(f'graph:{MESH}')
  every = np.arange(72)[:, None]
  t = np.asarray(g.distance(every[:, None], every[None]))
  centre = int(g.places((1,))[0, 0])
  assert t[centre].max() == t.max(1).min()
  for n in (1, 9, 40, 72):
    at = g.places((n,))[:, 0]
    assert (np.diff(at) > 0).all() and len(at) == n
    assert t[centre, at].max() <= np.sort(t[centre])[n - 1]
    assert at[g.query((n,))] == centre
    assert g.longest((n,)) == t[np.ix_(at, at)].max()
  with pytest.raises(ValueError, match='has 72 vertices, and a size of 73'):
    g.places((73,))


def test_the_centre_lies_in_the_largest_piece(tmp_path):
  file = tmp_path / 'pieces.edges'
  file.write_text('0 1\n2 3\n3 4\n4 5\n5 6\n')
  g = geometry.parse(f'graph:{file}:apart=hidden')
  assert g.places((1,)).tolist() == [[4]] and g.query((7,)) == 4
  assert g.places((5,))[:, 0].tolist() == [2, 3, 4, 5, 6]


def test_a_run_on_a_graph_from_a_part_to_the_whole(tmp_path):
  of = dict(
    data=dict(source=f'graph:file={MESH}:sweeps=5'),
    model=dict(kind='encoder', geometry=f'graph:{MESH}', rpe='alibi:slope=1'),
    train=dict(size='20', valid_tokens=60),
    eval=dict(sizes=('20', '40', '72'), tokens=30),
  )
  folder = str(tmp_path / 'run')
  train.train(experiment(of), folder)
  rows = evaluate.evaluate(folder)
  assert [row['size'] for row in rows] == ['20', '40', '72']
  assert len({row['optimum'] for row in rows}) == 1
  assert all(row['excess'] > 0 for row in rows)


@pytest.mark.parametrize(
  'changes, said',
  [
    (dict(train=dict(size='3')), 'size 3 has no vertex whose neighbours are'),
    (
      dict(eval=dict(sizes=('20', '73'))),
      'has 72 vertices, and a size of 73 was asked for',
    ),
    (dict(data=dict(source='graph')), 'task graph needs a file of edges'),
    (dict(data=dict(source='graph:file=/no')), "there is no file '/no'"),
    (dict(data=dict(source='graph:beta=0.2')), 'needs a file of edges'),
    (dict(data=dict(source=f'graph:file={MESH}:beta=-1')), 'beta = -1.0'),
    (dict(data=dict(source=f'graph:file={MESH}:masked=0.9')), 'masked = 0.9'),
    (dict(data=dict(source=f'graph:file={MESH}:states=1')), 'states = 1'),
    (dict(model=dict(geometry='both')), 'has places of graph'),
    (dict(model=dict(geometry='graph:OTHER')), 'on another graph than graph:'),
  ],
)
def test_mistakes_are_one_line_before_any_run(tmp_path, changes, said):
  other = tmp_path / 'path.edges'
  other.write_text('\n'.join(f'{i} {i + 1}' for i in range(71)))
  of = dict(
    data=dict(source=f'graph:file={MESH}'),
    model=dict(kind='encoder', geometry=f'graph:{MESH}', rpe='alibi'),
    train=dict(size='20'),
    eval=dict(sizes=('20', '40')),
  )
  for section, keys in changes.items():
    of[section] = of[section] | {
      k: v.replace('OTHER', str(other)) if isinstance(v, str) else v
      for k, v in keys.items()
    }
  with pytest.raises(ValueError) as e:
    train.train(experiment(of), str(tmp_path / 'run'))
  assert said in str(e.value) and '\n' not in str(e.value)
  assert not (tmp_path / 'run').exists()
