"""Heats against numbers from papers and derivations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import heat
from extrapolation.parts import Inputs


def at(name, i, params=None, x=None, **hyper):
  """The scale of the query with index i."""
  given = Inputs(positions=jnp.asarray([i]), x=x)
  return float(heat.get(name, 1, **hyper).scale(given, params or {})[0, 0, 0])


def test_log_n_is_one_where_training_ends():
  assert at('log_n', 1023, train_length=1024) == pytest.approx(1, abs=1e-6)
  assert at('log_n', 8191, train_length=1024) == pytest.approx(1.3, abs=1e-6)
  ratio = np.log(9216) / np.log(512)
  assert at('log_n', 9215) == pytest.approx(ratio, abs=1e-6)  # 1.463


def test_ssmax_keeps_the_largest_weight():
  """All logits -2 but one of 3, s = 0.43."""
  params = dict(s=jnp.asarray([0.43]))
  for n, weight in ((10, 0.940101), (1000, 0.999646)):
    logits = np.full(n, -2.0)
    logits[-1] = 3
    s = at('ssmax', n - 1, params)
    assert jax.nn.softmax(s * logits)[-1] == pytest.approx(weight, abs=1e-6)
  assert jax.nn.softmax(logits)[-1] == pytest.approx(0.129346, abs=1e-6)


def test_ssmax_begins_at_its_hyperparameter():
  record = heat.get('ssmax', 3, s=0.5)
  assert record.init(jax.random.key(0), 8)['s'].tolist() == [0.5] * 3


def test_llama4_is_a_staircase():
  for i, s in ((0, 1), (8190, 1), (8191, 1.069315), (16383, 1.109861)):
    assert at('llama4', i) == pytest.approx(s, abs=1e-6)


def test_asentmax():
  x, one = jnp.ones((1, 1, 1)), jnp.ones((1, 1))
  assert at('asentmax', 0, dict(W_b=0 * one, W_g=0 * one), x) == pytest.approx(
    1.693147, abs=1e-6
  )
  params = dict(W_b=0 * one, W_g=0.5 * one)
  assert at('asentmax', 510, params, x) == pytest.approx(4.764043, abs=2e-6)


def test_the_first_query_has_one_key_and_any_heat():
  """ln 1 = 0 would be no heat at all; one key has weight 1 whatever it is."""
  params = dict(s=jnp.asarray([0.43]))
  assert at('ssmax', 0, params) == at('ssmax', 1, params) > 0
  assert at('log_n', 0) == at('log_n', 1) > 0
