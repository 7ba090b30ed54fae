"""The loss of packed windows is that of their documents, each by itself."""

import contextlib
import dataclasses

import jax
import numpy as np
import pytest

from extrapolation import config, training
from extrapolation.data import packed

V, T = 11, 24
# Shorter than a window, as long as one, longer, and of one token.
LENGTHS = (9, 25, 3, 60, 1, 2, 7, 12, 30)
OFFSETS = np.cumsum([0, *LENGTHS])
TOKENS = np.random.default_rng(0).integers(0, V, OFFSETS[-1], dtype=np.uint16)
SPECS = [
  'type2',
  'sinusoidal',
  'rotary',
  'rotary@segment:separator=3',
  't5*log_n:whole=true',
  'linear@forget',
  'power@cable*asentmax',
  'alibi+none*ssmax',
  'none/window:width=4',
]


def experiment(rpe, B, dtype, **layout):
  return config.Experiment(
    model=config.Model(
      rpe=rpe, N=2, D=16, H=2, F=16, dropout=0.0, dtype=dtype
    ),
    optim=config.Optim(rule='sgd', lr=0.1, warmup=0),
    train=config.Train(T=T, B=B, steps=1),
    parallel=config.Parallel(**(layout or dict(data=1))),
  )


def apart(windows):
  """(tokens, weights) with each piece in a row of its own."""
  tokens = np.zeros((len(windows.start), T + 1), np.int32)
  weights = np.zeros((len(windows.start), T), np.float32)
  for i, (a, n) in enumerate(zip(windows.start, windows.size, strict=True)):
    tokens[i, :n] = TOKENS[a : a + n]
    weights[i, : n - 1] = 1
  return tokens, weights


def one_step(rpe, batch, dtype, **layout):
  """Sum of nats, loss, and the parameters after a step."""
  B = len(batch[0])
  p = training.make(experiment(rpe, B, dtype, **layout), V)
  state, key = p.init(jax.random.key(1)), jax.random.key(2)
  bias = p.bias_table(state.params)
  batch = p.layout.global_from_local(tuple(batch), B)
  nats, count = p.eval_step(state.params, batch, bias)
  state, metrics = p.step(state, batch, key, bias)
  about = [nats, count, metrics['loss'], metrics['grad_norm']]
  return np.array(list(map(float, about))), jax.tree.leaves(state.params)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('rpe', SPECS)
def test_the_loss_and_step_are_those_of_documents_apart(rpe, dtype):
  double = dtype == 'float64'
  with jax.enable_x64(True) if double else contextlib.nullcontext():
    windows = packed.pack(OFFSETS, T)
    batch = windows.read(TOKENS, np.arange(len(windows)))
    assert np.diff(windows.first).max() > 2  # several documents in one
    got, params = one_step(rpe, batch, dtype)
    want, known = one_step(rpe, apart(windows), dtype)
  tolerance = dict(rtol=1e-12, atol=1e-12) if double else dict(
    rtol=1e-5, atol=1e-5
  )
  np.testing.assert_allclose(got, want, **tolerance)
  for a, b in zip(params, known, strict=True):
    np.testing.assert_allclose(a, b, **tolerance)
