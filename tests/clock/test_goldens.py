"""Clocks against numbers from papers and derivations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import clock, rpe
from extrapolation.parts import Inputs

Z = (0.0, 1.0, -1.0, 2.0)  # what a gate is a function of, token by token


def gated(name, z=Z):
  """Bias of the linear kernel between tokens whose gates have input z."""
  record = clock.get(name, 1)
  params = dict(W=jnp.ones((1, 1)), b=jnp.zeros(1))
  given = Inputs(positions=jnp.arange(len(z)), x=jnp.asarray(z)[None, :, None])
  p = np.asarray(record.positions(given, params))[0, :, 0]
  kernel = rpe.get('linear', 1)
  return lambda i, j: float(kernel.bias(jnp.asarray([p[i] - p[j]]), {})[0, 0])


def test_fox():
  """ln f = -.693147, -.313262, -1.313262, -.126928; b_ij = c_i - c_j."""
  b = gated('forget')
  assert b(3, 0) == pytest.approx(-1.753451, abs=1e-6)
  assert b(3, 1) == pytest.approx(-1.440190, abs=1e-6)


def test_cable_is_fox_with_the_gate_negated():
  b = gated('cable')
  assert b(3, 0) == pytest.approx(-3.753451, abs=1e-6)
  assert b(3, 1) == pytest.approx(-2.440190, abs=1e-6)
  assert b(3, 0) == pytest.approx(gated('forget', [-z for z in Z])(3, 0))


def test_gates_begin_where_the_papers_do():
  """W ~ N(0, 0.02^2), b = 0: at x = 0 the gate is 1/2."""
  for name in ('forget', 'cable'):
    params = clock.get(name, 50).init(jax.random.key(0), 400)
    assert float(params['W'].std()) == pytest.approx(0.02, rel=0.02)
    assert (params['b'] == 0).all()


@pytest.mark.parametrize('gate', ['fixed', 'bias'])
def test_constant_gates_have_the_decay_times(gate):
  """T_h = 2, 4, .. 256 for 8 heads: the slopes of ALiBi."""
  record = clock.get('forget', 8, gate=gate)
  params = record.init(jax.random.key(0), 4)
  p = record.positions(Inputs(positions=jnp.arange(600)), params)
  b = jnp.stack([rpe.get('linear', 1).bias(p[0, :, h] - p[0, 0, h], {})[0]
                 for h in range(8)])  # fmt: skip
  alibi = rpe.get('alibi', 8).bias(jnp.arange(600), {})
  np.testing.assert_allclose(b, alibi, rtol=2e-5, atol=1e-6)


def test_the_mean_gate_of_noise_forgets_by_two():
  """E B = 1 / (1 - E f) = 2 for f = sigmoid(N(0, 1))."""
  z = jax.random.normal(jax.random.key(0), (1, 200_000, 1))
  record = clock.get('forget', 1)
  params = dict(W=jnp.ones((1, 1)), b=jnp.zeros(1))
  given = Inputs(positions=jnp.arange(200_000), x=z)
  f = jnp.exp(-record.increments(given, params))
  assert 1 / (1 - f.mean()) == pytest.approx(2, rel=0.01)


def test_randomized_alibi():
  """Positions 1, 4, 6 and slope 1/2: the last row is -2.5, -1, 0."""
  p = jnp.asarray([1.0, 4.0, 6.0])
  alibi = rpe.get('alibi', 8)  # head 1 has slope 1/2
  np.testing.assert_allclose(alibi.bias(p[2] - p, {})[0], [-2.5, -1, 0])


def test_randomized_draws_without_replacement():
  M, T = 50, 20
  record = clock.get('randomized', 1, length=M)
  draw = jax.jit(lambda key: record.positions(
    Inputs(positions=jnp.arange(T), key=key), {})[0, :, 0])  # fmt: skip
  seen = np.stack([draw(jax.random.key(i)) for i in range(300)])
  assert seen.min() == 0 and seen.max() == M - 1
  assert (np.diff(seen, axis=1) >= 1).all()
  assert (seen == np.round(seen)).all()
  # The mean gap of T of M sorted draws is (M + 1) / (T + 1).
  assert np.diff(seen, axis=1).mean() == pytest.approx(51 / 21, rel=0.03)
  # Every set is as likely: each position is drawn with probability T / M.
  share = np.bincount(seen.astype(int).ravel(), minlength=M) / len(seen)
  np.testing.assert_allclose(share, T / M, atol=0.12)
  full = clock.get('randomized', 1, length=T)  # all of them
  given = Inputs(positions=jnp.arange(T), key=jax.random.key(0))
  np.testing.assert_array_equal(
    full.positions(given, {})[0, :, 0], jnp.arange(T)
  )


def test_segments_end_with_their_separator():
  """`ab. cd.` has its first full stop in segment 0, what follows in 1."""
  tokens = jnp.asarray([[1, 2, 13, 3, 869, 4, 13]])
  previous = jnp.asarray([[-1, 1, 2, 13, 3, 869, 4]])
  record = clock.get('segment', 1, ids='13-869')
  given = Inputs(positions=jnp.arange(7), previous=previous)
  np.testing.assert_array_equal(
    record.positions(given, {})[0, :, 0], [0, 0, 0, 1, 1, 2, 2]
  )
  assert tokens.shape == previous.shape


def test_stop_drops_positions_from_its_step_on():
  record = clock.get('stop', 1, step=3)
  for step, last in ((2, 4.0), (3, 0.0), (4, 0.0)):
    given = Inputs(positions=jnp.arange(5), step=jnp.asarray(step))
    assert record.positions(given, {})[0, -1, 0] == last


def test_short_decay_times_do_not_overflow():
  """1 / T_h = 10^4 a token, where exp(1 / T_h) is beyond float32."""
  record = clock.get(
    'forget', 2, gate='fixed', decay_time_min=1e-4, decay_time_max=1e4
  )
  out = record.increments(Inputs(positions=jnp.arange(3)), {})
  np.testing.assert_allclose(out, np.full((1, 3, 2), [1e4, 1e-4]), rtol=1e-5)
