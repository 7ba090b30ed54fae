"""Broadcasting on a tree against its definition, edge by edge."""

import itertools
import math

import numpy as np
import pytest

from extrapolation.data import tasks


def joint(labels, r, symbols, flip):
  """Probability of labels [.., n], numbered level by level."""
  p = np.full(labels.shape[:-1], 1 / symbols)
  for child in range(1, labels.shape[-1]):
    kept = labels[..., child] == labels[..., (child - 1) // r]
    p = p * np.where(kept, 1 - flip, flip / (symbols - 1))
  return p


@pytest.mark.parametrize(
  'at, r, symbols, flip, depth',
  [
    ('root', 2, 3, 0.2, 2),
    ('root', 1, 4, 0.5, 5),
    ('root', 2, 2, 0.1, 2),
    ('leaf', 2, 3, 0.2, 2),
    ('leaf', 1, 4, 0.5, 5),
    ('leaf', 3, 3, 0.9, 1),
  ],
)
def test_the_optimum_is_that_of_the_whole_tree(at, r, symbols, flip, depth):
  """p(target | all that is seen), summed over what else is masked."""
  task = tasks.parse(
    f'tree:r={r}:symbols={symbols}:flip={flip}:at={at}:masked=0.5'
  )
  n = sum(r**k for k in range(depth + 1))
  every = np.array(list(itertools.product(range(symbols), repeat=n)))
  p, tested = joint(every, r, symbols, flip), 0
  for number in range(20):
    e = task.draw(
      number, (depth,), within=(depth,), stream='train', seed=1
    )  # fmt: skip
    seen = e.inputs != task.mask
    fits = (every[:, seen] == e.inputs[seen]).all(-1)
    for i in np.flatnonzero(e.weights):
      right = fits & (every[:, i] == e.targets[i])
      want = -math.log(p[right].sum() / p[fits].sum())
      assert e.optimum[i] == pytest.approx(want, rel=1e-5)
      tested += 1
  assert tested >= 20


@pytest.mark.parametrize('at', ['root', 'leaf'])
@pytest.mark.parametrize('size', [3, 6])
def test_children_have_other_labels_with_probability_flip(at, size):
  """Chi squared of (parent, child) of all edges, also above the smallest."""
  r, symbols, flip = 2, 3, 0.3
  task = tasks.parse(f'tree:r={r}:symbols={symbols}:flip={flip}:at={at}')
  pairs = np.zeros((symbols, symbols))
  root = np.zeros(symbols)
  for number in range(150):
    e = task.draw(number, (size,), within=(3,), stream='train', seed=2)
    child = np.arange(1, len(e.targets))
    np.add.at(pairs, (e.targets[(child - 1) // r], e.targets[child]), 1)
    root[e.targets[0]] += 1
  # Given the parents, all edges are independent.
  want = np.where(np.eye(symbols), 1 - flip, flip / (symbols - 1))
  want *= pairs.sum(1, keepdims=True)
  chi2 = ((pairs - want) ** 2 / want).sum()
  assert chi2 < 27.9  # 6 degrees of freedom: more in one of 10^4
  assert ((root - 50) ** 2 / 50).sum() < 18.4  # 2


@pytest.mark.parametrize('at', ['root', 'leaf'])
def test_the_mean_loss_of_the_best_prediction_is_its_entropy(at):
  """Within 4 sigma; targets are independent given all others."""
  r, symbols, flip = 2, 4, 0.2
  task = tasks.parse(f'tree:at={at}')
  excess = variance = 0.0
  for number in range(200):
    e = task.draw(number, (5,), within=(5,), stream='train', seed=4)
    ids = e.inputs
    for i in np.flatnonzero(e.weights):
      around = [ids[(i - 1) // r]] if i else []
      around += ids[r * i + 1 : r * i + 1 + r].tolist()
      p = np.ones(symbols)
      for label in around:
        assert label < symbols
        p *= np.where(label == np.arange(symbols), 1 - flip, flip / 3)
      nats = -np.log(p / p.sum())
      assert e.optimum[i] == pytest.approx(nats[e.targets[i]], rel=1e-4)
      mean = (np.exp(-nats) * nats).sum()
      excess += e.optimum[i] - mean
      variance += (np.exp(-nats) * (nats - mean) ** 2).sum()
  assert abs(excess) < 4 * math.sqrt(variance)


def test_where_targets_are():
  """From the root: in levels with children. From a leaf: in the leaves."""
  for number in range(30):
    e = tasks.parse('tree').draw(
      number, (6,), within=(3,), stream='test', seed=0
    )
    at = np.flatnonzero(e.weights)
    level = np.log2(at + 1).astype(int)
    assert level.max() < 3 and len({*(level % 2)}) == 1
    masked = np.log2(np.flatnonzero(e.inputs == 4) + 1).astype(int)
    assert {*(masked % 2)} == {*(level % 2)}
    e = tasks.parse('tree:at=leaf').draw(
      number, (6,), within=(3,), stream='test', seed=0
    )
    at = np.flatnonzero(e.weights)
    assert at.min() >= 63 and len({*((at - 63) // 8)}) == 1


def test_the_smallest_tree_hangs_anywhere():
  """From each vertex of its level as often: 8 of them, chi squared."""
  task, count = tasks.parse('tree:at=leaf'), np.zeros(8)
  for number in range(400):
    e = task.draw(number, (4,), within=(1,), stream='test', seed=0)
    count[(np.flatnonzero(e.weights)[0] - 15) // 2] += 1
  assert ((count - 50) ** 2 / 50).sum() < 29.9  # 7 degrees: one of 10^4
