"""Which formulas are proved never to rise, and that those never do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import rpe, theory

H = 4
FALL = (
  'alibi',
  'bam',
  'exp_sqrt',
  'hard_alibi',
  'harmonic',
  'kerple_log',
  'kerple_power',
  'linear',
  'log_harmonic',
  'none',
  'power',
  'type1',
  'type2',
  'window',
  'alibi+type1@cable',
  'kerple_power@forget+linear@segment:ids=1',
)
DISTANCES = np.concatenate(
  [np.linspace(0, 40, 4001), np.geomspace(40, 1e6, 2000)]
)


def bias_and_params(spec):
  e = rpe.get(spec, H)
  return e.bias, e.init(jax.random.key(0))


@pytest.mark.parametrize('spec', FALL)
def test_kernels_that_fall_are_proved_to(spec):
  bias, params = bias_and_params(spec)
  assert theory.never_rises(bias, params) == [True] * H


@pytest.mark.parametrize('spec', [n for n in rpe.names() if n not in FALL])
def test_what_is_proved_is_so(spec):
  """Of every encoding, whatever its kernel does."""
  bias, params = bias_and_params(spec)
  table = np.asarray(bias(jnp.asarray(DISTANCES, jnp.float32), params))
  fall = theory.never_rises(bias, params)
  for row, proved in zip(table, fall, strict=True):
    if proved:
      with np.errstate(invalid='ignore'):
        up = np.diff(row)
      assert not (up > 1e-5 * np.abs(row[1:]) + 1e-6).any()


@pytest.mark.parametrize(
  'formula, falls',
  [
    ('-t**2', True),
    ('t', False),
    ('cos(t)', False),
    ('-abs(t - 5)', False),
    ('abs(t - 5)', False),
    ('-t*exp(-t)', False),
    ('exp(-t)', True),
    ('1/(1 + t)', True),
    ('-1/(1 + t)', False),
    ('-log(1 + t) - sqrt(t)', True),
    ('t - t**2', False),
    ('max(-t, -3)', True),
  ],
)
def test_formulas_by_hand(formula, falls):
  assert theory.never_rises(formula) == [falls]


@pytest.mark.parametrize(
  'f, falls',
  [
    (lambda t: jnp.where(t < 5, 0.0, -jnp.inf), True),
    (lambda t: jnp.where(t < 5, -jnp.inf, 0.0), False),
    (lambda t: jnp.where(t < 5, -t, -1.0), False),
    (lambda t: jnp.where(t == 5, 1.0, -t), False),
    (lambda t: jnp.where(t == 5, -jnp.inf, 0.0), False),
    (lambda t: jnp.where(t > 5, -5 - t, jnp.maximum(-t, -4.0)), True),
    (lambda t: -jnp.floor(t / 3), True),
    (lambda t: jnp.maximum(t, 3.0) * -2, True),
    (lambda t: (t + 1.0) * -t, True),
    (lambda t: (5.0 - t) * -t, False),
  ],
)
def test_steps_and_products(f, falls):
  assert theory.never_rises(lambda t, params: f(t * 1.0)[None], {}) == [falls]
