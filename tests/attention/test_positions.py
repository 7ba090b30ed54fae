"""Sums of increments against exact arithmetic."""

from fractions import Fraction

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np

from extrapolation.attention import accumulate


@hypothesis.settings(max_examples=8, deadline=None)
@hypothesis.given(
  seed=st.integers(0, 99), size=st.sampled_from([1e-6, 1e-2, 1.0, 100.0])
)
def test_differences_are_exact_at_any_position(seed, size):
  rng = np.random.default_rng(seed)
  x = rng.exponential(size, size=(1, 3000, 1)).astype(np.float32)
  x[:, 0] += 2.0**20
  p = accumulate(jnp.asarray(x))
  whole, part = (np.asarray(a, np.float64)[0, :, 0] for a in (p.whole, p.part))
  exact, total = [], Fraction(0)
  for step in x[0, :, 0]:
    total += Fraction(float(step))
    exact.append(total)
  origin = exact[0]
  want = np.array([float(e - origin) for e in exact])
  got = (whole - whole[0]) + (part - part[0])
  np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)
  assert (whole == np.floor(whole)).all() and (np.abs(part) <= 1).all()


def test_the_gradient_is_that_of_a_sum():
  x = jnp.asarray(np.random.default_rng(0).exponential(size=(2, 9, 3)))
  weights = jnp.asarray(np.random.default_rng(1).normal(size=(2, 9, 3)))

  def loss(x):
    p = accumulate(x)
    return (weights * (p.whole + p.part)).sum()

  want = jax.grad(lambda x: (weights * jnp.cumsum(x, 1)).sum())(x)
  np.testing.assert_allclose(jax.grad(loss)(x), want, rtol=1e-5, atol=1e-6)
