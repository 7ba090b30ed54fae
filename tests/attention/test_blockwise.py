import functools
import inspect

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import rpe
from extrapolation.attention import attend, blockwise, reference, rows, tiles
from tests.model import small

NAMES = ('output', 'dq', 'dk', 'dv', 'dbias')


def inputs(seed, B, T, H, K, n=None, dtype=np.float32, scale=1.0):
  """q, k, v, bias, cotangent; the bias falls with distance, as they all do."""
  rng = np.random.default_rng(seed)
  q, k, v, g = (rng.normal(size=(B, T, H, K)) for _ in range(4))
  bias = -rng.uniform(size=(H, 1)) * np.arange(n or T) ** 0.5
  bias += rng.normal(size=bias.shape)
  arrays = (scale * q, k, v, bias, g)
  return tuple(np.asarray(a, dtype) for a in arrays)


def with_gradients(f, q, k, v, bias, g):
  o, pull = jax.vjp(f, q, k, v, bias)
  return (o, *pull(g.astype(o.dtype)))


@functools.cache  # compiled once per shape, blocks as they are at that time
def ours(window=None, implementation='blockwise', blocks=None):
  del blocks
  f = functools.partial(attend, window=window, implementation=implementation)
  return jax.jit(functools.partial(with_gradients, f))


@jax.jit
def _definition(q, k, v, bias, g):
  return with_gradients(lambda *a: reference.attend(*a)[0], q, k, v, bias, g)


def definition(q, k, v, bias, g, window=None):
  """The reference in float64, the window written into its table."""
  with jax.enable_x64(True):
    q, k, v, bias, g = (jnp.asarray(x, jnp.float64) for x in (q, k, v, bias, g))
    if window is not None:
      w = np.broadcast_to(window, bias.shape[:1])[:, None]
      bias = jnp.where(np.arange(bias.shape[1]) < w, bias, -jnp.inf)
    return [np.asarray(x) for x in _definition(q, k, v, bias, g)]


def compare(got, want, value=1e-6, gradient=1e-5):
  for name, a, b in zip(NAMES, got, want, strict=True):
    a = np.asarray(a, np.float64)
    assert np.isfinite(a).all(), name
    # relative to the largest entry; where all are 0 (one key, no choice) to
    # the size of the operands, 1
    error = np.abs(a - b).max() / max(np.abs(b).max(), 1.0)
    assert error <= (value if name == 'output' else gradient), (name, error)


@pytest.fixture
def small_blocks(monkeypatch):
  """Blocks so small that a few dozen tokens cross many boundaries."""
  monkeypatch.setattr(rows, 'BLOCK', 8)
  monkeypatch.setattr(tiles, 'BLOCK', 8)


# T around and across blocks of 8, and windows that end within and between
# them: few, as each compiles; what hypothesis draws compiles nothing.
CASES = [
  (dict(B=3, T=1, H=1, K=1), None),
  (dict(B=2, T=9, H=3, K=4), None),
  (dict(B=2, T=9, H=3, K=4), (1, 8, 100)),
  (dict(B=1, T=40, H=2, K=6, n=49), None),
  (dict(B=1, T=40, H=2, K=6, n=49), 13),
  (dict(B=1, T=40, H=2, K=6, n=49), (2, 17)),
]


@pytest.mark.usefixtures('small_blocks')
@pytest.mark.parametrize('form', ['rows', 'tiles'])
@pytest.mark.parametrize('sizes, window', CASES)
@hypothesis.settings(
  max_examples=8,
  deadline=None,
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
  seed=st.integers(0, 99), holes=st.sampled_from(['none', 'tail', 'some'])
)
def test_values_and_gradients_are_those_of_the_definition(
  form, sizes, window, seed, holes, monkeypatch
):
  monkeypatch.setattr(blockwise, 'ROWS', 10**9 if form == 'rows' else 0)
  q, k, v, bias, g = inputs(seed, **sizes)
  if holes == 'tail':
    bias[0, bias.shape[1] // 2 + 1 :] = -np.inf
  if holes == 'some':
    bias[-1, 1::2] = -np.inf
  got = ours(window, blocks=f'{form} of 8')(q, k, v, bias, g)
  compare(got, definition(q, k, v, bias, g, window))


@pytest.mark.parametrize(
  'T, window',
  [
    (700, None),
    (700, (128, 1000, 31)),
    (300, 257),
    *(
      pytest.param(*case, marks=pytest.mark.slow)
      for case in (
        (300, None),
        (300, (128, 1000, 31)),
        (700, 257),
        (300, 1),
        (700, 1),
      )
    ),
  ],
)
def test_at_the_block_sizes_that_are_used(T, window):
  arrays = inputs(T, 2, T, 3, 8)
  compare(ours(window)(*arrays), definition(*arrays, window=window))


@pytest.mark.parametrize('T', [40, 600])
def test_extreme_logits(T):
  with jax.enable_x64(True):
    arrays = inputs(1, 1, T, 2, 4, dtype=np.float64, scale=1e4)
    got = ours()(*arrays)
  compare(got, definition(*arrays))


def test_extreme_logits_in_float32_are_finite():
  q, k, v, bias, g = inputs(1, 1, 600, 2, 4, scale=1e4)
  bias[:, 5:] -= 1e4
  for x in ours()(q, k, v, bias, g):
    assert np.isfinite(np.asarray(x)).all()


@pytest.mark.parametrize('T', [100, 600])
def test_bfloat16_operands_accumulate_in_float32(T):
  q, k, v, bias, g = inputs(2, 2, T, 2, 16)
  q, k, v, g = (jnp.asarray(x, jnp.bfloat16) for x in (q, k, v, g))
  got = ours()(q, k, v, bias, g)
  assert [x.dtype for x in got] == [jnp.bfloat16] * 4 + [jnp.float32]
  # half a unit in the last of 8 bits for what is returned in bfloat16
  compare(got, definition(q, k, v, bias, g), value=4e-3, gradient=4e-3)


@pytest.mark.parametrize('name', small.by_form())
def test_every_encoding(name):
  T, H = 600, 2
  encoding = rpe.get(name, H)
  bias = encoding.bias(jnp.arange(T), encoding.init(jax.random.key(0)))
  q, k, v, _, g = inputs(3, 1, T, H, 4)
  q, k = encoding.rotate(jnp.asarray(q), jnp.asarray(k), jnp.arange(T))
  got = ours(implementation='auto')(q, k, v, bias, g)
  compare(got, definition(q, k, v, bias, g))


def test_a_window_is_a_table_that_ends():
  q, k, v, bias, g = inputs(4, 1, 600, 2, 4)
  ends = bias.copy()
  ends[0, 100:], ends[1, 300:] = -np.inf, -np.inf
  for a, b in zip(
    ours((100, 300))(q, k, v, bias, g), ours()(q, k, v, ends, g), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_query_without_a_key_gives_zero():
  q, k, v, bias, g = inputs(5, 1, 600, 1, 4)
  got = ours()(q, k, v, np.full_like(bias, -np.inf), g)
  for x in got:
    np.testing.assert_array_equal(x, np.zeros_like(x))


@pytest.mark.parametrize('T', [100, 600])
def test_under_jit_vmap_remat_scan_and_eval_shape(T):
  q, k, v, bias, _ = (jnp.asarray(x) for x in inputs(6, 2, T, 2, 4))
  want = attend(q, k, v, bias, implementation='reference')

  mapped = jax.vmap(attend, in_axes=(0, 0, 0, None))
  o = mapped(q[None], k[None], v[None], bias)[0]
  np.testing.assert_allclose(o, want, atol=1e-6)

  def layers(q, f):
    return jax.lax.scan(lambda x, _: (f(x, k, v, bias), None), q, length=2)[0]

  grads = [
    jax.jit(jax.grad(lambda q, f=f: layers(q, f).sum()))(q)
    for f in (attend, jax.checkpoint(attend))
  ]
  np.testing.assert_allclose(*grads, atol=1e-6)
  shape = jax.eval_shape(attend, q, k, v, bias)
  assert (shape.shape, shape.dtype) == (q.shape, q.dtype)


def test_backward_memory_is_linear():
  """Forward and backward of 65,536 tokens, 8 heads of 64: under 2 GB."""
  x = jax.ShapeDtypeStruct((1, 65_536, 8, 64), jnp.float32)
  bias = jax.ShapeDtypeStruct((8, 65_536), jnp.float32)
  step = ours().lower(x, x, x, bias, x).compile()
  assert step.memory_analysis().temp_size_in_bytes < 2e9


BAD = {
  'equal shapes': dict(k=(1, 6, 2, 4)),
  'no size to be 0': dict.fromkeys('qkv', (1, 0, 2, 4)),
  'be whole': dict(window=2.5),
  'at least 1, one': dict(window=(3, -1)),
  'needs a GPU': dict(implementation='cudnn'),
  'dtype': dict(k=jnp.ones((1, 5, 2, 4), jnp.bfloat16)),
  'n >= 5': dict(bias=(2, 4)),
  r'\[2, n\]': dict(bias=(3, 5)),
  'floating': dict(bias=jnp.zeros((2, 5), jnp.int32)),
  'at least 1': dict(window=0),
  'one per head': dict(window=(1, 2, 3)),
  'there are: auto': dict(implementation='flash'),
}


@pytest.mark.parametrize('window', [np.asarray([2, 7]), (2, 7), [2, 7]])
def test_windows_of_any_sequence(window):
  q, k, v, bias, _ = (jnp.asarray(x) for x in inputs(0, 1, 120, 2, 4))
  want = attend(q, k, v, bias, window=(2, 7), implementation='reference')
  got = inspect.unwrap(attend)(q, k, v, bias, window=window)
  np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize('message', BAD)
def test_errors_name_what_does_not_fit(message):
  arguments = dict.fromkeys('qkv', (1, 5, 2, 4)) | dict(bias=(2, 5))
  arguments |= BAD[message]
  for name in (*'qkv', 'bias'):
    if isinstance(arguments[name], tuple):
      arguments[name] = jnp.ones(arguments[name])
  checked = inspect.unwrap(attend)  # past the shape checks of the test run
  operands = [arguments.pop(name) for name in (*'qkv', 'bias')]
  with pytest.raises(ValueError, match=message) as error:
    checked(*operands, **arguments)
  assert '\n' not in str(error.value)
