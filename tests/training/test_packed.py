"""The loss of packed windows is that of their documents, each by itself."""

import jax
import numpy as np
import pytest

from extrapolation import config, training
from extrapolation.data import packed

V, T = 11, 12  # below 16 attention is its own definition, which compiles fast
# Shorter than a window, as long as one, longer, and of one token.
LENGTHS = (5, 13, 3, 30, 1, 2, 4, 7, 15)
# A heat is float32 in any dtype: its last digit may depend on where it lies.
HEATED = ['t5*log_n:whole=true', 'alibi+none*ssmax']
SPECS = ['sinusoidal', 'rotary@segment:ids=3', 'linear@forget']
SCORED = [
  'fire:train_length=8/stick_breaking',
  'cope:positions=4+dape@forget/fire:train_length=8@segment:ids=3',
]
LONG = ['type2', 'none/window:width=9', *SCORED]  # in tiles


def text(lengths):
  offsets = np.cumsum([0, *lengths])
  rng = np.random.default_rng(0)
  return rng.integers(0, V, offsets[-1], dtype=np.uint16), offsets


def batches(T, lengths):
  """Packed windows, and the same pieces each in a row of its own."""
  tokens, offsets = text(lengths)
  windows = packed.pack(offsets, T)
  alone = np.zeros((len(windows.start), T + 1), np.int32)
  weights = np.zeros((len(windows.start), T), np.float32)
  for i, (a, n) in enumerate(zip(windows.start, windows.size, strict=True)):
    alone[i, :n] = tokens[a : a + n]
    weights[i, : n - 1] = 1
  assert np.diff(windows.first).max() > 2  # several documents in one
  return windows.read(tokens, np.arange(len(windows))), (alone, weights)


def nats(rpe, dtype, batch):
  """Sum of nats and number of targets."""
  p = training.make(experiment(rpe, *batch[1].shape, dtype), V)
  params = p.init(jax.random.key(1)).params
  sums = p.eval_step(params, tuple(batch), p.bias_table(params))
  return [float(x) for x in sums]


def experiment(rpe, B, T, dtype, accumulate=1):
  sizes = dict(N=1, D=16, H=2, F=16, dropout=0.0)
  if '/' in rpe:
    sizes['N'] = 2
  return config.Experiment(
    model=config.Model(rpe=rpe, dtype=dtype, **sizes),
    optim=config.Optim(rule='sgd', lr=0.1, warmup=0),
    train=config.Train(T=T, B=B, steps=1, accumulate=accumulate),
    parallel=config.Parallel(data=1),
  )


@pytest.mark.parametrize(
  'rpe',
  [  # those of SPECS in float64 too, below
    *(pytest.param(s, marks=pytest.mark.slow) for s in SPECS),
    *HEATED,
    *SCORED[:1],
  ],
)
def test_the_loss_is_that_of_documents_apart(rpe):
  got, want = (nats(rpe, 'float32', b) for b in batches(T, LENGTHS))
  np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('rpe', LONG)
def test_in_tiles_too(rpe):
  lengths = [20 * n for n in LENGTHS]
  got, want = (nats(rpe, 'float32', b) for b in batches(130, lengths))
  np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize(
  'rpe', [*SPECS, *(pytest.param(s, marks=pytest.mark.slow) for s in SCORED)]
)
def test_in_float64_it_is_the_same_to_twelve_digits(rpe):
  with jax.enable_x64(True):
    got, want = (nats(rpe, 'float64', b) for b in batches(T, LENGTHS))
  np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.slow
def test_a_step_in_parts_is_that_of_documents_apart():
  with jax.enable_x64(True):
    (got, a), (want, b) = (
      one_step(batch, n)
      for batch, n in zip(batches(T, LENGTHS), (2, 1), strict=True)
    )
  np.testing.assert_allclose(got, want, rtol=1e-11)
  for x, y in zip(a, b, strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-12)


def one_step(batch, accumulate):
  """Loss and norm of the gradient, and the parameters after a step."""
  batch = [np.concatenate([x, 0 * x]) for x in batch]  # rows of weight 0
  e = experiment('kerple_log', *batch[1].shape, 'float64', accumulate)
  p = training.make(e, V)
  state, metrics = p.step(
    p.init(jax.random.key(1)), tuple(batch), jax.random.key(2), None
  )
  norms = [float(metrics[k]) for k in ('loss', 'grad_norm')]
  return norms, jax.tree.leaves(state.params)
