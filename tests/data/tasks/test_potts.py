"""The sampler against enumeration and solved models; the optimum is exact."""

import itertools
import math

import numpy as np
import pytest
from scipy import special

from extrapolation.data import tasks
from extrapolation.data.tasks import ising, potts


def all_lattices(states, height, width):
  """[states^(h w), h, w]"""
  n = height * width
  each = np.stack(np.unravel_index(np.arange(states**n), (states,) * n), -1)
  return each.reshape(-1, height, width).astype(np.uint8)


def pairs(x, free):
  """How many neighbouring sites are equal, of lattices [.., h, w]."""
  down = x == np.roll(x, -1, -2)
  if free:
    down = down[..., :-1, :]
  return down.sum((-1, -2)) + (x == np.roll(x, -1, -1)).sum((-1, -2))


def weights(x, model):
  p = np.exp(model.beta * pairs(x, model.free).astype(float))
  return p / p.sum()


@pytest.mark.parametrize(
  'states, height, width, free',
  [(2, 3, 4, True), (3, 2, 4, True), (3, 1, 8, True), (2, 4, 4, False)],
)
def test_samples_are_those_of_the_whole_model(states, height, width, free):
  """The mean number of equal pairs, by enumeration, within 4 sigma."""
  model = potts.Potts(0.7, states, height, width, free)
  x = all_lattices(states, height, width)
  p, n = weights(x, model), pairs(x, free)
  mean = (p * n).sum()
  sigma = math.sqrt((p * (n - mean) ** 2).sum())
  rng, many = np.random.default_rng(0), 250
  drawn = [pairs(model.sample(rng, 12), free) for _ in range(many)]
  assert abs(np.mean(drawn) - mean) < 4 * sigma / math.sqrt(many)


def test_every_lattice_is_as_frequent_as_it_is_likely():
  model = potts.Potts(0.8, 2, 2, 2, True)  # left and right meet twice
  x = all_lattices(2, 2, 2)
  energy = (x[:, 0] == x[:, 1]).sum(-1) + 2 * (x[:, :, 0] == x[:, :, 1]).sum(-1)
  p = np.exp(0.8 * energy) / np.exp(0.8 * energy).sum()
  rng, many = np.random.default_rng(1), 600
  code = [model.sample(rng, 8).ravel() @ (8, 4, 2, 1) for _ in range(many)]
  count = np.bincount(code, minlength=16)
  chi2 = ((count - many * p) ** 2 / (many * p)).sum()
  assert chi2 < special.chdtri(15, 1e-4)


def test_the_energy_of_the_ising_model_is_onsager_s():
  """Of a square lattice, states of weight beta are spins of K = beta / 2."""
  beta = 0.7
  K = beta / 2
  k = 2 * math.sinh(2 * K) / math.cosh(2 * K) ** 2
  bracket = (
    (2 / math.pi) * (2 * math.tanh(2 * K) ** 2 - 1) * special.ellipk(k**2)
  )
  product = (1 + bracket) / math.tanh(2 * K) / 2  # mean, of two neighbours
  model = potts.Potts(beta, 2, 256, 256)
  x = model.sample(np.random.default_rng(2), 60)
  equal = pairs(x, False) / (2 * x.size)
  # The specific heat here is of order 1: sigma is about 1 / sqrt(sites).
  assert abs(equal - (1 + product) / 2) < 4 / 256


def test_the_energy_of_a_strip_is_that_of_its_transfer_matrix():
  beta, q, width = 0.9, 4, 8192

  def log_top(beta):
    columns = list(itertools.product(range(q), repeat=2))
    T = [
      [
        math.exp(beta * ((a == c) + (b == d) + ((a == b) + (c == d)) / 2))
        for c, d in columns
      ]
      for a, b in columns
    ]
    return math.log(np.linalg.eigvalsh(np.array(T))[-1])

  h = 1e-3
  mean = (log_top(beta + h) - log_top(beta - h)) / (2 * h)  # pairs per column
  variance = (log_top(beta + h) - 2 * log_top(beta) + log_top(beta - h)) / h**2
  model = potts.Potts(beta, q, 2, width, True)
  x = model.sample(np.random.default_rng(3), 60)
  error = abs(pairs(x, True) / width - mean)
  assert error < 4 * math.sqrt(variance / width)


def test_the_transition_of_the_ising_model_is_onsager_s():
  assert potts.critical(2) / 2 == pytest.approx(0.5 * math.log1p(2**0.5))


def test_the_optimum_is_that_of_the_whole_canvas():
  """p(target | all that is seen), summed over all that is not."""
  task = tasks.parse('ising:states=2:beta=0.6:side=4:masked=0.5:sweeps=10')
  model = potts.Potts(0.6, 2, 4, 4)
  x, tested = all_lattices(2, 4, 4), 0
  p = weights(x, model)
  ising._canvas.cache_clear()
  for n, size in itertools.product(range(4), ((3, 4), (4, 4))):
    e = task.draw(n, size, within=(3, 4), stream='test', seed=0)
    # The canvas is the same everywhere: take the crop in its corner.
    h, w = size
    seen = e.inputs != task.mask
    crop = x[:, :h, :w].reshape(len(x), -1)
    fits = (crop[:, seen] == e.inputs[seen]).all(-1)
    for i in np.flatnonzero(e.weights):
      right = fits & (crop[:, i] == e.targets[i])
      want = -math.log(p[right].sum() / p[fits].sum())
      assert e.optimum[i] == pytest.approx(want, rel=1e-5)
      tested += 1
  assert tested >= 8


@pytest.mark.parametrize(
  'spec, size, sees',
  [('ising', (16, 32), 4), ('ising:height=2', (2, 256), 3),
   ('ising:sweeps=1:masked=0.5', (16, 32), 4)],
)  # fmt: skip
def test_the_mean_loss_of_the_best_prediction_is_its_entropy(spec, size, sees):
  """Within 4 sigma, and what it reads is the inputs alone.

  Given all others, the masked cells are independent, so that the variance of
  the sum is the sum of theirs; after one sweep too, as their colour is last.
  """
  task = tasks.parse(spec)
  excess = variance = 0.0
  for n in range(64):
    e = task.draw(n, size, within=size, stream='train', seed=5)
    ids = np.pad(e.inputs.reshape(size), 1, constant_values=-1)
    for i in np.flatnonzero(e.weights):
      y, x = (c + 1 for c in divmod(i, size[1]))
      around = ids[[y - 1, y + 1, y, y], [x, x, x - 1, x + 1]]
      around = around[around >= 0]
      assert len(around) == sees and (around < 4).all()
      p = np.exp(0.9 * (around[:, None] == np.arange(4)).sum(0))
      nats = -np.log(p / p.sum())
      assert e.optimum[i] == pytest.approx(nats[e.targets[i]], rel=1e-5)
      mean = (np.exp(-nats) * nats).sum()
      excess += e.optimum[i] - mean
      variance += (np.exp(-nats) * (nats - mean) ** 2).sum()
  assert abs(excess) < 4 * math.sqrt(variance)


def test_crops_that_are_scored_do_not_overlap():
  """The canvas of 128 x 128 has 32 of 16 x 32, and then there is another."""
  _, first = ising._canvas(potts.Potts(0.9, 4, 128, 128), 100, 0, 'test', 0)
  task = tasks.parse('ising')
  drawn, _ = ising._canvas(potts.Potts(0.9, 4, 128, 128), 100, 0, 'test', 0)
  tiled = np.roll(drawn.ids, (-first[0], -first[1]), (0, 1))
  for n in range(32):
    e = task.draw(n, (16, 32), within=(16, 32), stream='test', seed=0)
    y, x = 16 * (n // 4), 32 * (n % 4)
    np.testing.assert_array_equal(
      e.targets.reshape(16, 32), tiled[y : y + 16, x : x + 32]
    )


def test_sites_of_odd_sum_have_their_conditional_law_after_one_sweep():
  """Those that are drawn first have not: their mean loss is another."""
  model = potts.Potts(1.0, 3, 256, 256)
  x = model.sample(np.random.default_rng(4), 1)
  nats = potts.nats(model.equal(x), model.beta)
  mean = (np.exp(-nats) * nats).sum(-1)
  variance = (np.exp(-nats) * (nats - mean[..., None]) ** 2).sum(-1)
  excess = model.nats(x) - mean
  odd = np.indices(x.shape).sum(0) % 2 == 1
  z = [excess[at].sum() / math.sqrt(variance[at].sum()) for at in (odd, ~odd)]
  assert abs(z[0]) < 4 and abs(z[1]) > 10, z
