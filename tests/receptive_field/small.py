"""Small models whose field is known, and one estimator of them at a time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from extrapolation import config, model
from extrapolation.receptive_field import estimators
from extrapolation.receptive_field.estimators import forward_pass
from extrapolation.receptive_field.estimators.settings import Settings

KEY = jax.random.key(0)
V = 11


def model_of(rpe='alibi', N=2, D=16, H=2, F=32, **kw):
  return model.make(V, config.Model(rpe=rpe, N=N, D=D, H=H, F=F, **kw))


def make(rpe='alibi', **kw):
  m = model_of(rpe, **kw)
  with jax.disable_jit():  # else each model would compile its own
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


def run(name, m, params, tokens, s):
  """What one estimator leaves of tokens [B, n + 1].

  Models of one network share what is compiled, whatever their bias.
  """
  both = _compiled(name, m.network, s)
  out = both(params, m.bias(params, s.length), tokens)
  return {k: np.asarray(v) for k, v in out.items()}


@functools.lru_cache
def _compiled(name, network, s):
  forward = forward_pass.make(network, s.Q)
  estimator = estimators.TABLE[name].make(network, s)

  def both(params, bias, tokens):
    reference = forward(params, bias, tokens[:, :-1])
    return estimator(params, bias, tokens, reference)

  return jax.jit(both)
