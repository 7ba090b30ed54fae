"""The window bounds on the activations of a model that was trained."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from extrapolation import attention, config, model
from extrapolation.attention import window_bound

T, V, H = 96, 37, 4


def text(rng, count):
  """Sequences that repeat themselves at some distance, with noise."""
  out = rng.integers(0, V, (count, T + 1))
  for row in out:
    period = rng.integers(2, 40)
    for i in range(period, T + 1):
      if rng.random() < 0.9:
        row[i] = row[i - period]
  return jnp.asarray(out)


def trained(name, steps=40):
  c = config.Model(rpe=name, N=2, D=32, H=H, F=64, dropout=0.0)
  m = model.make(V, c)
  params = m.init(jax.random.key(0))
  optimiser = optax.adam(1e-2)
  state, rng = optimiser.init(params), np.random.default_rng(0)

  @jax.jit
  def step(params, state, batch):
    nats = lambda p: m.nll(p, batch[:, :-1], batch[:, 1:]).mean()  # noqa: E731
    value, slope = jax.value_and_grad(nats)(params)
    update, state = optimiser.update(slope, state)
    return optax.apply_updates(params, update), state, value

  values = []
  for _ in range(steps):
    params, state, value = step(params, state, text(rng, 16))
    values.append(float(value))
  assert values[-1] < values[0] - 0.2  # it learned something
  return m, params, text(rng, 4)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['kerple_log'])
def test_bounds_hold_on_real_activations(name):
  """||o - o_w|| <= 2 max ||v|| p for every layer, head, query and window."""
  m, params, batch = trained(name)
  seen = []

  def attend(q, k, v, bias, layer):
    del layer
    seen.append([np.asarray(x, np.float64) for x in (q, k, v, bias)])
    return attention.attend(q, k, v, bias)

  m.hidden(params, batch[:, :-1], attend=attend)
  assert len(seen) == 2
  t = np.arange(T)[:, None] - np.arange(T)
  tightest = 0.0
  for q, k, v, b in seen:
    M = np.asarray(
      window_bound.logit_bound(jnp.float32(q), jnp.float32(k))
    )  # [B, H]
    logits = np.einsum('bthk,bshk->bhts', q, k) / np.sqrt(q.shape[-1])
    assert np.all(np.abs(logits).max((-2, -1)) <= M * (1 + 1e-5))
    a = np.where(t >= 0, np.exp(logits + b[:, np.abs(t)]), 0)
    o = np.einsum('bhts,bshk->bhtk', a, v) / a.sum(-1)[..., None]
    size = np.linalg.norm(v, axis=-1).max(1)  # [B, H]
    for w in (1, 4, 16, 48):
      near = a * (t < w)
      o_w = np.einsum('bhts,bshk->bhtk', near, v) / near.sum(-1)[..., None]
      error = np.linalg.norm(o - o_w, axis=-1)  # [B, H, T]
      e = np.exp(b)
      tail, head = np.log(e[:, w:].sum(-1)), np.log(e[:, :w].sum(-1))
      prior = np.asarray(
        window_bound.dropped(*np.broadcast_arrays(tail, head), 2 * M)
      )
      log_seen = np.log(near.sum(-1))
      top = logits.max(-1)
      late = np.asarray(
        window_bound.dropped_seen(
          np.broadcast_to(tail[:, None], top.shape), log_seen, top
        )
      )
      assert np.all(error <= 2 * size[..., None] * prior[..., None] + 1e-6)
      assert np.all(error <= 2 * size[..., None] * late + 1e-6)
      assert np.all(late <= prior[..., None] * (1 + 1e-4))
      tightest = max(tightest, (error / (2 * size[..., None] * late)).max())
  assert 0.05 < tightest <= 1  # a bound that is neither void nor broken
