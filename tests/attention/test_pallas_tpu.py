import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation.attention import attend, choose, pallas_tpu
from tests.attention.test_blockwise import compare, definition, inputs, ours


@pytest.fixture
def small_blocks(monkeypatch):
  monkeypatch.setattr(pallas_tpu, 'BLOCK', 16)


@pytest.mark.usefixtures('small_blocks')
@pytest.mark.parametrize('T', [16, 50])
@pytest.mark.parametrize('window', [None, 17, (3, 100), 18, (2, 34)])
def test_the_kernel_computes_the_definition(T, window):
  q, k, v, bias, g = inputs(T, 2, T, 2, 8, n=T + 3)
  bias[0, T // 2 + 1 :] = -np.inf
  got = ours(window, 'pallas', 'of 16')(q, k, v, bias, g)
  compare(got, definition(q, k, v, bias, g, window))


@pytest.mark.usefixtures('small_blocks')
def test_no_key_gives_zero_and_half_precision_stays():
  q, k, v, bias, _ = (jnp.asarray(x) for x in inputs(0, 1, 40, 1, 8))
  q, k, v = (x.astype(jnp.bfloat16) for x in (q, k, v))
  run = functools.partial(attend, q, k, v, implementation='pallas')
  np.testing.assert_array_equal(run(jnp.full_like(bias, -jnp.inf)), 0)
  o = run(bias)
  want = attend(q, k, v, bias, implementation='blockwise')
  assert o.dtype == jnp.bfloat16
  np.testing.assert_allclose(
    o.astype(jnp.float32), want.astype(jnp.float32), atol=2e-2
  )


@pytest.mark.parametrize('T', [1, 63, 64, 96, 100, 504, 512, 513, 9216])
def test_a_row_of_bias_fills_whole_registers(T):
  """Two blocks of 128 lanes each: Mosaic rotates nothing else."""
  block = pallas_tpu.block_size(T)
  assert 2 * block % 128 == 0 and min(T, 512) <= block <= 512


@pytest.mark.usefixtures('small_blocks')
@pytest.mark.parametrize('implementation, T', [('pallas', 50), ('auto', 600)])
def test_a_constant_in_the_bias_changes_nothing(implementation, T):
  q, k, v, bias, g = (jnp.asarray(x) for x in inputs(0, 1, T, 2, 8))
  run = ours(None, implementation, 'of 16')
  for a, b in zip(
    run(q, k, v, bias, g), run(q, k, v, bias + 100, g), strict=True
  ):
    np.testing.assert_allclose(a, b, atol=2e-4)


def test_which_implementation_is_chosen():
  chosen = {
    ('tpu', 'bfloat16', 100, 'TPU v5 lite'): 'pallas',
    ('tpu', 'bfloat16', 100, 'TPU v4'): 'blockwise',
    ('tpu', 'float64', 100, 'TPU v5'): 'blockwise',
    ('tpu', 'float32', 9, 'TPU v5'): 'reference',
    ('gpu', 'bfloat16', 9216, 'NVIDIA H100'): 'blockwise',
  }
  assert {case: choose(*case) for case in chosen} == chosen


@pytest.mark.parametrize(
  'dtype, K', [(jnp.float32, 32), (jnp.bfloat16, 64), (jnp.bfloat16, 128)]
)
def test_it_lowers_for_a_tpu(dtype, K):
  """From any machine; the last step, on the TPU itself, is not tried here."""
  T, H = 9216, 4
  x = jax.ShapeDtypeStruct((1, T, H, K), dtype)
  table = jax.ShapeDtypeStruct((H, T), jnp.float32)
  run = functools.partial(pallas_tpu.attend, windows=(T, T, 1024, 100))
  lowered = jax.export.export(jax.jit(lambda *a: run(*a)), platforms=['tpu'])(
    x, x, x, table
  )
  text = lowered.mlir_module()
  assert 'tpu_custom_call' in text
  assert 'gather' not in text
