import functools

import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation.attention import attend, blockwise, cudnn
from tests.attention.test_blockwise import (
  compare,
  definition,
  inputs,
  with_gradients,
)


@pytest.mark.parametrize('window', [None, 5])
def test_what_cudnn_is_asked_for(window):
  """The same call on XLA: what cuDNN makes of it shows on a GPU only."""
  q, k, v, bias, g = inputs(0, 2, 12, 2, 8)
  kernel = functools.partial(cudnn.attend, backend='xla')
  windows = window and (window,) * 2
  f = functools.partial(blockwise.attend, window=windows, kernel=kernel)
  got = with_gradients(f, q, k, v, bias, g)
  compare(got, definition(q, k, v, bias, g, window))


def test_it_says_what_it_does_not_take():
  q, k, v, bias, _ = (jnp.asarray(x) for x in inputs(0, 1, 12, 2, 8))
  with pytest.raises(ValueError, match='16 bits'):
    cudnn.attend(q, k, v, bias, (12,) * 2)
  with pytest.raises(ValueError, match='cudnn needs a GPU'):
    attend(q, k, v, bias, implementation='cudnn')


def test_a_table_is_written_out_by_distance():
  bias = np.arange(3.0)[None]
  T = bias.shape[1]
  o = cudnn.attend(
    *(jnp.zeros((1, T, 1, 8)),) * 2,
    jnp.eye(T, 8)[None, :, None],
    jnp.asarray(bias, jnp.float32),
    (T,),
    backend='xla',
  )
  last = np.exp([2, 1, 0]) / np.exp([2, 1, 0]).sum()
  np.testing.assert_allclose(o[0, -1, 0, :3], last, rtol=1e-6)
