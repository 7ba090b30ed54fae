"""Fields of composed encodings, against a dense model in NumPy and float64.

The referee shares no code with what it judges: layers, clocks, heats and scores
are written out anew, every changed text is run in full, and gradients are
complex steps: Im f(x + i h) / h of an analytic f, to the last digit.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation.receptive_field import estimators
from extrapolation.receptive_field.estimators import (
  forward_pass,
  last_queries,
  perturbation,
  truncation,
)
from tests.receptive_field import small
from tests.receptive_field.dense_model import (
  REFEREES,
  D,
  H,
  N,
  last_state,
  softmax,
)

n, Q = 18, 3
STEP = 1e-30

SETTINGS = small.settings(n, queries=Q)
TOKENS = small.batch(n, windows=2, seed=5)
CHANGED = perturbation.draw(np.arange(small.V), np.arange(2), SETTINGS)


def measured(m, params):
  """What all estimators leave, in one program."""

  def run(params, bias, tokens, *changed):
    reference = forward_pass.make(m.network, Q)(params, bias, tokens[:, :-1])
    out = {}
    for name, estimator in estimators.TABLE.items():
      more = changed if name == 'perturbation' else ()
      one = estimator.make(m.network, SETTINGS)
      made = one(params, bias, tokens, reference, *more)
      out |= made if isinstance(made, dict) else {name: made}
    return out

  changed = map(jnp.asarray, CHANGED)
  return jax.jit(run)(params, m.bias(params, n), TOKENS, *changed)


@dataclasses.dataclass
class Known:
  """A model whose gates and logits tell tokens apart, and its referee."""

  spec: str
  params: dict
  found: dict

  @property
  def E(self):
    return self.params['embed']['embedding']

  def state(self, ids):
    ids = np.asarray(ids)
    return last_state(self.spec, self.params, self.E[ids], ids)

  def logp(self, ids):
    return np.log(softmax(self.state(ids)[0] @ self.E.T))


@pytest.fixture(
  scope='module',
  params=[
    pytest.param(s, marks=() if '@forget/rotary' in s else pytest.mark.slow)
    for s in REFEREES
  ],
)
def known(request):
  m, params = small.make(request.param, N=N, D=D, H=H)
  for layer in params['layers'].values():
    layer['qkv']['kernel'] *= 2
    for part, scale in (('clock', 0.5), ('score', 0.3)):
      for name, x in layer.get(part, {}).items():
        noise = jax.random.normal(jax.random.key(len(name)), x.shape)
        layer[part][name] = x + scale * noise
  with pytest.MonkeyPatch.context() as patch:
    # Small blocks and groups, so that short texts take every path.
    patch.setattr(last_queries, 'BLOCK', 8)
    patch.setattr(perturbation, 'SMALL', 4)
    patch.setattr(truncation, 'SMALL', 4)
    found = measured(m, params)
  wide = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
  return Known(request.param, wide, found)


def test_attention_mass_and_rollout(known):
  for row, ids in enumerate(TOKENS[:, :-1]):
    maps = known.state(ids)[1]
    want = np.zeros((N, H, n))
    for i in range(n - Q, n):
      want[..., : i + 1] += maps[:, :, i, i::-1] / Q
    np.testing.assert_allclose(
      known.found['attention_mass'][row], want, atol=2e-6, rtol=1e-4
    )
    whole = np.eye(n)
    for layer in maps:
      whole = (np.eye(n) + layer.mean(0)) / 2 @ whole
    np.testing.assert_allclose(
      known.found['rollout'][row], whole[-1, ::-1], atol=2e-6, rtol=1e-4
    )


def test_gradient(known):
  E = known.E
  ids = np.asarray(TOKENS[0, :-1])
  top = known.logp(ids).argmax()
  slope = np.zeros((n, D))
  for at in np.ndindex(n, D):
    rows = E[ids].astype(complex)
    rows[at] += 1j * STEP
    x, _ = last_state(known.spec, known.params, rows, ids)
    slope[at] = (x @ E[top]).imag / STEP
  size = np.linalg.norm(slope, axis=-1)[::-1]
  np.testing.assert_allclose(
    known.found['gradient'][0], size / size.sum(), atol=1e-5, rtol=1e-3
  )


def test_truncation(known):
  found = known.found['truncation']
  for row, (*ids, target) in enumerate(np.asarray(TOKENS)):
    for j, c in enumerate(truncation.contexts(n)):
      want = -known.logp(ids[n - c :])[int(target)]
      assert found[row, j] == pytest.approx(float(want), abs=2e-5), c


def test_perturbation(known):
  (d, other), (tv, kl) = CHANGED, known.found['perturbation']
  for row, (*ids, _) in enumerate(np.asarray(TOKENS)):
    before = known.logp(ids)
    for j, (distance, token) in enumerate(zip(d[row], other[row], strict=True)):
      changed = list(map(int, ids))
      at = n - 1 - distance
      same = changed[at] == token
      changed[at] = int(token + 1) % small.V if same else int(token)
      after = known.logp(changed)
      want = np.abs(np.exp(before) - np.exp(after)).sum() / 2
      assert float(tv[row, j]) == pytest.approx(float(want), abs=2e-5)
      want = (np.exp(before) * (before - after)).sum()
      assert float(kl[row, j]) == pytest.approx(float(want), abs=2e-5)
