"""The logits of the last queries are those of a whole pass."""

import jax
import numpy as np
import pytest

from extrapolation import config, model
from extrapolation.evaluation import window_certificate
from extrapolation.evaluation.window_certificate import Windows
from extrapolation.parallel import mesh
from extrapolation.probe import forward

T = 40


@pytest.mark.parametrize(
  'rpe, scan, Q',
  [
    ('alibi', True, 1),
    pytest.param(
      'rotary/linear@forget*ssmax:whole=true', False, 7, marks=pytest.mark.slow
    ),
  ],
)
def test_logits_are_those_of_the_model(rpe, scan, Q):
  section = config.Model(rpe=rpe, N=2, D=16, H=2, F=16, scan=scan)
  m = model.make(13, section)
  params = m.init(jax.random.key(1))
  tokens = np.random.default_rng(0).integers(0, 13, (2, T)).astype(np.int32)
  layout, rows = mesh.for_length(T, 2, 4 * T)
  of = forward.make(m, params, T, layout)(np.resize(tokens, (rows, T)), Q)
  want = jax.jit(m.logits)(params, tokens)[:, -Q:]
  assert of.shape == (rows, Q, 13)
  np.testing.assert_allclose(of[:2], want, rtol=1e-4, atol=1e-4)


def test_a_window_is_a_table_that_weighs_nothing_beyond_it():
  m = model.make(13, config.Model(rpe='alibi', N=2, D=16, H=2, F=16))
  params, keys, Q = m.init(jax.random.key(1)), (3, 17), 7
  tokens = np.random.default_rng(0).integers(0, 13, (2, T)).astype(np.int32)
  one = mesh.layout(config.Parallel(data=1))
  of = forward.make(m, params, T, one, Windows(keys))(tokens, Q)
  table = np.array(m.bias(params, T))
  for h, w in enumerate(keys):
    table[:, h, w:] = -np.inf
  x = jax.jit(m.network.hidden)(params, table, tokens)[:, -Q:]
  np.testing.assert_allclose(of, model.logits(params, x), atol=1e-4)


@pytest.mark.slow
def test_a_window_by_a_clock_is_that_of_an_evaluation():
  """By the loss of the same tokens, which another path computes."""
  m = model.make(13, config.Model(rpe='linear@forget', N=2, D=16, H=2, F=16))
  params, Q = m.init(jax.random.key(1)), 7
  batch = np.random.default_rng(0).integers(0, 13, (2, T + 1)).astype(np.int32)
  differences = np.array([[2.0, np.inf], [1.0, 4.0]], np.float32)
  windows = Windows((T, T), differences)
  one = mesh.layout(config.Parallel(data=1))
  of = forward.make(m, params, T, one, windows)(batch[:, :-1], Q)
  nats, _ = jax.jit(
    window_certificate.measured, static_argnums=(0, 4)
  )(m.network, params, m.bias(params, T), batch, *windows)  # fmt: skip
  lp = np.asarray(jax.nn.log_softmax(of))
  got = -np.take_along_axis(lp, batch[:, -Q:, None], -1)[..., 0]
  np.testing.assert_allclose(got, nats[:, -Q:], rtol=1e-4, atol=1e-4)
  whole = forward.make(m, params, T, one)(batch[:, :-1], Q)
  assert np.abs(of - whole).max() > 1e-2
