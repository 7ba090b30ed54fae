"""Every estimator against its definition, computed the long way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import attention, config, model
from extrapolation.attention import reference as dense
from extrapolation.receptive_field.estimators import (
  composition,
  flop_count,
  forward_pass,
  last_queries,
  perturbation,
  truncation,
)
from extrapolation.theory import coverage
from tests.receptive_field import small

N_TOKENS = 21


def softmax(logits):
  e = np.exp(np.asarray(logits, np.float64))
  return e / e.sum(-1, keepdims=True)


@pytest.fixture(autouse=True)
def little(monkeypatch):
  """Small blocks and groups, so that short texts take every path."""
  monkeypatch.setattr(last_queries, 'BLOCK', 8)
  monkeypatch.setattr(perturbation, 'SMALL', 4)
  monkeypatch.setattr(truncation, 'SMALL', 4)


def probabilities(m, params, tokens):
  """All attention of a text, [N, B, H, T, T], from the definition."""
  seen = []

  def attend(q, k, v, bias, layer):
    del layer
    o, p = dense.attend(q, k, v, bias)
    seen.append(p)
    return o

  @jax.jit
  def run(params, tokens):
    m.hidden(params, tokens, attend=attend)
    return jnp.stack(seen)

  return np.asarray(run(params, tokens), np.float64)


@pytest.mark.parametrize('R', [1, 21])
def test_last_queries_attend_as_in_the_definition(R):
  q, k, v = jax.random.normal(small.KEY, (3, 2, N_TOKENS, 2, 8))
  table = jnp.cumsum(jax.random.normal(small.KEY, (2, N_TOKENS)), 1)
  r = jax.random.uniform(small.KEY, (2, N_TOKENS))

  @jax.jit
  def run(q, k, v, table, r):
    return (
      dense.attend(q, k, v, table),
      last_queries.attend(q[:, -R:], k, v, table),
      last_queries.probabilities(q[:, -R:], k, table),
      last_queries.row_times(r, q, k, table),
    )

  (o, p), o_last, p_last, product = run(q, k, v, table, r)
  np.testing.assert_allclose(o_last, o[:, -R:], atol=1e-5)
  np.testing.assert_allclose(p_last, p[:, :, -R:], atol=1e-6)
  want = np.einsum('bt,bts->bs', r, np.asarray(p).mean(1))
  np.testing.assert_allclose(product, want, rtol=1e-4)


@pytest.mark.parametrize('queries', [1, 6])
def test_attention_mass_is_the_mean_weight_by_distance(queries):
  m, params = small.make('kerple_log', rpe_per_layer=True)
  tokens = small.batch(N_TOKENS)
  s = small.settings(N_TOKENS, queries=queries)
  out = small.run('attention_mass', m, params, tokens, s)
  p = probabilities(m, params, tokens[:, :-1])
  want = np.zeros((2, 2, 2, N_TOKENS))
  for i in range(N_TOKENS - queries, N_TOKENS):
    want[..., : i + 1] += np.moveaxis(p[..., i, i::-1], 0, 1) / queries
  np.testing.assert_allclose(out['attention_mass'], want, atol=1e-6)


def test_rollout_is_the_product_of_the_layers():
  m, params = small.make('type2', N=3)
  tokens = small.batch(N_TOKENS)
  s = small.settings(N_TOKENS, queries=4)
  out = small.run('rollout', m, params, tokens, s)
  A = probabilities(m, params, tokens[:, :-1]).mean(2)  # [N, B, T, T]
  step = (A + np.eye(N_TOKENS)) / 2
  want = (step[2] @ step[1] @ step[0])[:, -1, ::-1]
  np.testing.assert_allclose(out['rollout'], want, atol=1e-6)


def test_truncation_is_the_loss_of_a_text_cut_short():
  m, params = small.make('rotary')
  tokens = small.batch(N_TOKENS)
  s = small.settings(N_TOKENS)
  out = small.run('truncation', m, params, tokens, s)
  contexts = truncation.contexts(N_TOKENS)
  assert contexts == [1, 2, 4, 8, 16, 21]
  run = jax.jit(m.logits)
  for c, got in zip(contexts, out['truncation'].T, strict=True):
    alone = jnp.pad(tokens[:, N_TOKENS - c : -1], ((0, 0), (0, N_TOKENS - c)))
    logits = run(params, alone)[:, c - 1]  # causal: no padding reaches it
    lp = jax.nn.log_softmax(logits)
    want = -lp[jnp.arange(2), tokens[:, -1]]
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  [
    'sinusoidal',
    pytest.param('kerple_log', marks=pytest.mark.slow),
    pytest.param('xpos', marks=pytest.mark.slow),
  ],
)
def test_perturbation_is_that_of_the_whole_text_run_again(name):
  m, params = small.make(name)
  tokens = small.batch(N_TOKENS)
  s = small.settings(N_TOKENS)
  spans = perturbation.ranges(N_TOKENS)
  assert spans == [(0, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 21)]
  d, other = perturbation.draw(np.asarray(tokens[0]), np.arange(2), s)
  bias = m.bias(params, N_TOKENS)
  reference = jax.jit(forward_pass.make(m.network, 1))(
    params, bias, tokens[:, :-1]
  )
  run = jax.jit(perturbation.make(m.network, s))
  tv, kl = run(
    params, bias, tokens, reference, jnp.asarray(d), jnp.asarray(other)
  )
  text = np.asarray(tokens[:, :-1])
  logits = jax.jit(m.logits)
  p = softmax(logits(params, tokens[:, :-1])[:, -1])
  for i in range(len(spans)):
    new = text.copy()
    at = np.arange(2), N_TOKENS - 1 - d[:, i]
    same = new[at] == other[:, i]
    new[at] = np.where(same, (other[:, i] + 1) % small.V, other[:, i])
    q = softmax(logits(params, jnp.asarray(new, jnp.int32))[:, -1])
    np.testing.assert_allclose(tv[:, i], np.abs(p - q).sum(-1) / 2, atol=3e-6)
    np.testing.assert_allclose(
      kl[:, i], (p * np.log(p / q)).sum(-1), rtol=0.02, atol=1e-6
    )
  assert (np.asarray(tv)[:, 0] > 1e-3).all()


def test_distances_fill_their_ranges_and_bins_weigh_their_width():
  n, s = 100, small.settings(100)
  at = np.arange(4000)
  d, other = perturbation.draw(small.text(500), at, s)
  for (a, b), column in zip(perturbation.ranges(n), d.T, strict=True):
    count = np.bincount(column - a, minlength=b - a)
    assert len(count) == b - a
    np.testing.assert_allclose(count, 4000 / (b - a), rtol=0.1, atol=2)
  assert set(other.ravel()) == set(range(small.V))
  # A change that falls as 1 / (1 + d): the profile finds its shape.
  total = perturbation.binned(n, d, 1 / (1 + d)).sum(0)[None]
  w = perturbation.profile(n, total)[0]
  want = 1 / (1 + np.arange(n))
  np.testing.assert_allclose(w, want, rtol=0.12)
  edges = perturbation.bins(n)
  sums = [np.add.reduceat(x, edges[:-1]) for x in (w, want)]
  np.testing.assert_allclose(*sums, rtol=0.03)
  a, b = (coverage(x, [0.1])[1][0] for x in (w, want))
  assert abs(a - b) <= 2


def test_a_bin_without_windows_takes_its_left_neighbour():
  n = 9
  edges = perturbation.bins(n)
  np.testing.assert_array_equal(edges, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  total = np.zeros((1, 2, 9))
  total[0, :, [0, 1, 4]] = [[6, 2], [4, 4], [1, 2]]
  w = perturbation.profile(n, total)[0]
  np.testing.assert_allclose(w, [3, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5])


@pytest.mark.parametrize(
  'excess, want',
  [
    # contexts 1 2 4 8 16, the last the full one; tolerance 0.1
    ([1, 0.5, 0.2, 0.05, 0], (7, 5, 8)),  # 4 * 2^(2/3) = 6.35
    ([1, 0.05, 0.2, 0.05, 0], (7, 5, 8)),  # comes back out: not there yet
    ([0.05, 0, 0, 0, 0], (1, 1, 1)),
    ([-1, -0.5, -0.2, -0.15, 0], (11, 9, 16)),  # long contexts do harm
  ],
)  # fmt: skip
def test_the_context_from_which_on_loss_stays_within(excess, want):
  totals = dict(
    truncation=3 * (2 + np.asarray([excess])), truncated=np.full(1, 3.0)
  )
  got = truncation.fields(16, totals, (), 0.1)
  np.testing.assert_array_equal(got[0, 0], want)


def test_eps_of_truncation_is_a_share_of_what_context_changes():
  excess = np.asarray([[2, 1, 0.5, 0.1, 0]])
  totals = dict(truncation=excess, truncated=np.ones(1))
  got = truncation.fields(16, totals, (0.3, 0.1), 9.0)
  np.testing.assert_array_equal(got[0, :, 2], [1, 4, 8])


def test_composition_is_a_convolution_with_the_residual():
  rng = np.random.default_rng(0)
  kernels = rng.uniform(size=(3, 30))
  share = rng.uniform(size=3)
  want = np.ones(1)
  for k, s in zip(kernels, share, strict=True):
    step = (1 - s) * k / k.sum()
    step[0] += s
    want = np.convolve(want, step)[:30]
  got = composition.compose(kernels, share)
  np.testing.assert_allclose(got, want, atol=1e-15)
  window = np.where(np.arange(30) < 4, 1.0, 0)
  reach = composition.compose(np.stack([window] * 5), 0.5)
  assert coverage(reach, [1e-12])[1] == 5 * 3 + 1


def test_residual_share_and_logit_bound():
  """share is |x| / (|x| + |update|) and M bounds every logit really seen."""
  m, params = small.make('none')
  tokens = small.batch(N_TOKENS)[:, :-1]
  bias = m.bias(params, N_TOKENS)

  @jax.jit
  def run(params, tokens):
    logits, terms = [], []

    def attend(q, k, v, bias, layer):
      del layer
      logits.append(jnp.einsum('bthk,bshk->bhts', q, k) / q.shape[-1] ** 0.5)
      return attention.attend(q, k, v, bias)

    def add(x, update):
      terms.append([jnp.linalg.norm(y, axis=-1) for y in (x, update)])
      return x + update

    m.hidden(params, tokens, attend=attend, add=add)
    reference = forward_pass.make(m.network, N_TOKENS)(params, bias, tokens)
    return logits, terms, reference.share, reference.M

  logits, terms, share, M = run(params, tokens)
  want = [np.mean(a / (a + b), 1) for a, b in terms]
  np.testing.assert_allclose(share.T, want, rtol=1e-4)
  largest = np.abs(np.stack(logits)).max((-1, -2)).swapaxes(0, 1)
  assert (np.asarray(M) >= largest * (1 - 1e-6)).all()
  assert (np.asarray(M) < 4 * largest).all()


def test_operations_are_those_that_the_compiler_counts():
  m = model.make(64, config.Model(rpe='none', N=3, D=64, H=4, F=256))
  shapes = jax.eval_shape(m.init, small.KEY)
  n = 32

  def last(params, tokens):
    attend = forward_pass.last_only(m.network, 1)
    x = m.hidden(params, tokens, attend=attend)[:, -1]
    return model.logits(params, x)

  tokens = jax.ShapeDtypeStruct((1, n), jnp.int32)
  counted = jax.jit(last).lower(shapes, tokens).compile().cost_analysis()
  assert counted['flops'] == pytest.approx(
    flop_count.forward(m.config, m.V, n), rel=0.1
  )
