"""The logits of the last queries are those of a whole pass."""

import jax
import numpy as np
import pytest

from extrapolation import config, model
from extrapolation.probe import forward

T = 40


@pytest.mark.parametrize(
  'rpe, scan, Q',
  [
    ('alibi', True, 1),
    pytest.param(
      'rotary/linear@forget*ssmax:whole=true', False, 7, marks=pytest.mark.slow
    ),
  ],
)
def test_logits_are_those_of_the_model(rpe, scan, Q):
  section = config.Model(rpe=rpe, N=2, D=16, H=2, F=16, scan=scan)
  m = model.make(13, section)
  params = m.init(jax.random.key(1))
  tokens = np.random.default_rng(0).integers(0, 13, (2, T)).astype(np.int32)
  of = forward.make(m, params)(tokens, Q)
  want = jax.jit(m.logits)(params, tokens)[:, -Q:]
  assert of.shape == (2, Q, 13)
  np.testing.assert_allclose(of, want, rtol=1e-4, atol=1e-4)
