"""Small models whose field is known, and one estimator of them at a time."""

import jax
import jax.numpy as jnp
import numpy as np

from extrapolation import model
from extrapolation.receptive_field import estimators
from extrapolation.receptive_field import reference as passes
from extrapolation.receptive_field.settings import Settings

KEY = jax.random.key(0)
V = 11


def make(rpe='alibi', N=2, D=16, H=2, F=32, **kw):
  m = model.make(V, rpe=rpe, N=N, D=D, H=H, F=F, **kw)
  return m, m.init(KEY)


def without_queries(params):
  """The same with q = 0: a key's weight is exp(bias) and nothing else."""
  out = jax.tree.map(lambda x: x, params)
  for layer in out['layers'].values():
    D = layer['out']['kernel'].shape[0]
    for name, value in layer['qkv'].items():
      layer['qkv'][name] = value.at[..., :D].set(0)
  return out


def text(n, windows=1, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(0, V, n * windows + 1).astype(np.uint16)


def batch(n, windows=2, seed=0):
  tokens = text(n, windows, seed)
  rows = [tokens[i * n : (i + 1) * n + 1] for i in range(windows)]
  return jnp.asarray(np.stack(rows), jnp.int32)


def settings(n, **kw):
  return Settings(**(dict(length=n, tokens=n, queries=1) | kw))


def run(name, m, params, tokens, s, jit=True):
  """What one estimator finds on tokens [B, n + 1].

  Without `jit` models of one shape share what is compiled.
  """
  tables = m.bias(params, s.length)

  def both(params, tokens):
    found = passes.make(m, s.Q)(params, tokens[:, :-1])
    return estimators.TABLE[name].make(m, s)(params, tokens, found, tables)

  both = jax.jit(both) if jit else both
  return {k: np.asarray(v) for k, v in both(params, tokens).items()}
