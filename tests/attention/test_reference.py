"""The definition against SciPy, one query at a time."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from extrapolation.attention import reference
from tests.attention.test_blockwise import inputs


@pytest.mark.parametrize('T, n', [(1, 1), (7, 7), (7, 12)])
def test_the_definition_by_hand(T, n):
  q, k, v, bias, _ = inputs(0, 2, T, 3, 4, n)
  bias[1, 2:] = -np.inf
  o, p = reference.attend(*(jnp.asarray(x) for x in (q, k, v, bias)))
  for b, i, h in np.ndindex(2, T, 3):
    past = np.arange(i + 1)
    logits = k[b, past, h] @ q[b, i, h] / 4**0.5 + bias[h, i - past]
    weights = special.softmax(logits)
    np.testing.assert_allclose(p[b, h, i, : i + 1], weights, atol=1e-6)
    np.testing.assert_array_equal(p[b, h, i, i + 1 :], 0)
    np.testing.assert_allclose(o[b, i, h], weights @ v[b, past, h], atol=1e-6)
