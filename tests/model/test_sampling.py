"""Sampling keeps what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation.model.sampling import Sampling

KEY = jax.random.key(0)


def test_sampling_keeps_only_what_it_says():
  p = np.asarray([0.5, 0.3, 0.15, 0.05])
  logits = jnp.log(jnp.tile(jnp.asarray(p), (4000, 1)))

  def drawn(**kw):
    return np.asarray(Sampling(**kw)(logits, KEY))

  assert set(drawn(temperature=0.0)) == {0}
  assert set(drawn(top_k=2)) == {0, 1}
  assert set(drawn(top_p=0.6)) == {0, 1}
  assert set(drawn(top_p=1e-9)) == {0}
  assert set(drawn(top_k=3, top_p=0.99)) == {0, 1, 2}
  np.testing.assert_allclose(np.bincount(drawn()) / 4000, p, atol=0.03)
  squared = p**2 / (p**2).sum()
  np.testing.assert_allclose(
    np.bincount(drawn(temperature=0.5)) / 4000, squared, atol=0.03
  )


def test_top_p_of_one_keeps_every_token(monkeypatch):
  logits = jnp.full((1, 300_000), -15.0).at[0, 0].set(0.0)
  kept = []

  def categorical(key, x):
    kept.append(x)
    return x.argmax(-1)

  monkeypatch.setattr(jax.random, 'categorical', categorical)
  Sampling()(logits, KEY)
  assert jnp.isfinite(kept[0]).all()


@pytest.mark.parametrize(
  'kw, message',
  [
    (dict(temperature=1e-39), '--temperature=1e-39: needs 0'),
    (dict(temperature=-1.0), '--temperature=-1.0'),
    (dict(temperature=float('inf')), '--temperature=inf'),
    (dict(top_p=0.0), '--top_p=0.0'),
    (dict(top_p=1.1), '--top_p=1.1'),
    (dict(top_k=-1), '--top_k=-1'),
  ],
)
def test_mistakes_are_named(kw, message):
  with pytest.raises(ValueError, match=message):
    Sampling(**kw)
