"""One program for all encodings of a form, in the memory of one layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import config, model
from extrapolation.evaluation import length_sweep
from extrapolation.model import transformer
from extrapolation.parallel import mesh
from tests.model import small

LONG = 2 * transformer.FFN_CHUNK


@pytest.mark.parametrize('window', [None, (300, 300)])
def test_memory_of_a_long_text_is_that_of_one_layer(window):
  layout = mesh.layout(config.Parallel(data=1))

  def temporary(N):
    m = small.make('alibi', V=32, N=N, D=32)
    params = jax.eval_shape(m.init, jax.random.key(0))
    shapes = [jnp.zeros((N, 2, LONG)), jnp.zeros((1, LONG + 1), int)]
    shapes += [jnp.zeros((N, 2))] if window else []
    f = length_sweep._nll(m.network, window, layout).lower(params, *shapes)
    return f.compile().memory_analysis().temp_size_in_bytes

  few, many = temporary(2), temporary(6)
  # Of every layer remain the bounds [B, T, H], and a copy of its parameters.
  kept = 4 * LONG * 2 * 4 * 4 if window else 0
  assert many - few < 0.1 * few + kept


@pytest.mark.parametrize('window', [None, (3, 9)])
def test_encodings_of_one_form_share_a_program(window):
  layout = mesh.layout(config.Parallel(data=1))
  tokens = jax.random.randint(jax.random.key(0), (2, 13), 0, small.V)
  programs = set()
  for name in ('alibi', 'type1', 'type2', 'none', 'harmonic'):
    m = small.make(name)
    params = m.init(jax.random.key(0))
    f = length_sweep._nll(m.network, window, layout)
    tails = [jnp.zeros((2, 2))] if window else []
    nll = f(params, m.bias(params, 12), tokens, *tails)
    if not window:
      want = m.nll(params, tokens[:, :-1], tokens[:, 1:])
      np.testing.assert_allclose(nll, want, rtol=1e-5)
    programs.add(f)
  assert len(programs) == 1 and f._cache_size() == 1
  other = length_sweep._nll(small.make('t5').network, window, layout)
  assert other is not f


def test_a_long_text_is_a_scan_of_the_same_layers():
  m = small.make('type1')
  params = m.init(jax.random.key(0))
  short, same = model.for_length(m.network, params, transformer.FFN_CHUNK)
  assert short is m.network and same is params
  network, stacked = model.for_length(m.network, params, LONG)
  assert network is small.make('type1', scan=True).network
  tokens = jax.random.randint(jax.random.key(0), (2, 13), 0, small.V)
  args = m.bias(params, 12), tokens[:, :-1], tokens[:, 1:]
  np.testing.assert_allclose(
    network.nll(stacked, *args), m.network.nll(params, *args), rtol=1e-5
  )
