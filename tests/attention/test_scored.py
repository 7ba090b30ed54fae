"""Tiles of a score against the definition, and a score against loops."""

import functools
import inspect

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import rpe
from extrapolation.attention import (
  Kernel,
  Scored,
  accumulate,
  attend,
  attend_with_lse,
  tiles,
)
from extrapolation.parts.score import Score

B, T, H, K = 2, 53, 3, 4


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
  monkeypatch.setattr(tiles, 'BLOCK', 16)


@pytest.fixture
def float64():
  with jax.enable_x64(True):
    yield


def kerple(t, params):
  return -params['a'] * jnp.log1p(params['b'] * t)


def ends(t, params):
  """Weight zero from a distance on, which is not the same in all heads."""
  rows = [jnp.where(t < 5 * (h + 2), -params['a'][h] * t, -jnp.inf)
          for h in range(H)]  # fmt: skip
  return jnp.stack(rows)


def mixed(tile, params):
  """A logit of all that a tile has, over all heads."""
  near = jnp.exp(-tile.passed) + jnp.log1p(tile.distance) / (1 + tile.position)
  turned = jnp.einsum('hrk,k->hr', tile.q, params['u'])[..., None]
  x = tile.z + tile.bias + turned * near + jnp.exp(-tile.between)
  return jnp.einsum('gh,hrs->grs', params['W'], jnp.tanh(x)) + x


def crossed(tile, params):
  """A step that reads all heads."""
  x = tile.z + jnp.roll(tile.bias, 1, 0) + tile.position * 0.01
  x = x + 0.1 * tile.distance + params['u'].sum() * tile.q.sum(-1)[..., None]
  return jax.nn.sigmoid(x)


def mixed_params(key, D):
  W, u = jax.random.split(key)
  return dict(W=jax.random.normal(W, (H, H)), u=jax.random.normal(u, (D // H,)))


ALL = Score(
  logit=mixed, step=crossed, softmax=(True, False, True), init=mixed_params
)
SUM = Score(logit=lambda tile, params: tile.z + tile.bias)
SCORES = {
  'fire': rpe.get('fire', H, train_length=16).score,
  'cope': rpe.get('cope', H).score,
  'stick_breaking': rpe.get('stick_breaking', H).score,
  'dape': rpe.get('dape', H).score,
  'all': ALL,
  'sum': SUM,
}


def inputs(seed, h=H, increments='exponential', score='sum'):
  """Operands of `both`, float64."""
  rng = np.random.default_rng(seed)
  q, k, v, g = (rng.normal(size=(B, T, H, K)) for _ in range(4))
  draw = {
    'exponential': lambda size: rng.exponential(size=size),
    'ties': lambda size: rng.integers(0, 3, size).astype(float),
    'far': lambda size: 1e3 * (rng.uniform(size=size) < 0.1) + 1e-3,
  }
  learned = SCORES[score].init(jax.random.key(seed), H * K)
  return dict(
    q=q, k=k, v=v, g=g,
    params=dict(a=rng.uniform(0.5, 2, (H, 1)), b=rng.uniform(0.1, 2, (H, 1))),
    learned={n: x + 0.1 * rng.normal(size=x.shape) for n, x in learned.items()},
    increments=draw[increments]((B, T, h)),
    positions=np.cumsum(rng.exponential(size=(B, T, h)), 1),
    heat=rng.uniform(0.5, 2, (B, T, H)),
    documents=np.sort(rng.integers(0, 4, (B, T)), 1).astype(np.int32),
  )  # fmt: skip


@functools.cache  # compiled once per case: what hypothesis draws is data
def both(how, score, bias, parts, options=()):
  """Output and all gradients of `inputs`, under the `parts` of them."""

  def forward(qkv, params, learned, by_token, documents):
    kernel, given = Kernel(bias, params), dict(options)
    if 'clock' in parts:
      given['clock'] = accumulate(by_token['increments'])
    for name in ('heat', 'positions'):
      if name in parts:
        given[name] = by_token[name]
    if 'documents' in parts:
      given['documents'] = documents
    scored = Scored(SCORES[score], learned)
    return attend(*qkv, kernel, score=scored, implementation=how, **given)

  def f(x):
    by_token = {n: x[n] for n in ('increments', 'heat', 'positions')}
    operands = tuple(x[n] for n in 'qkv'), x['params'], x['learned'], by_token
    o, pull = jax.vjp(lambda *a: forward(*a, x['documents']), *operands)
    return o, pull(x['g'])

  return jax.jit(f)


def close(got, want, error=1e-11):
  """Relative to the largest entry, or to 1."""
  for a, b in zip(*map(jax.tree.leaves, (got, want)), strict=True):
    scale = max(1.0, float(np.abs(b).max()))
    np.testing.assert_allclose(a / scale, b / scale, rtol=0, atol=error)


WINDOWS = (('window', (30, 53, 9)), ('clock_window', (2.0, 5.0, 9.0)))
WHOLE = (('heats_bias', True),)
# score, kernel, what else there is, options, heads of the clock
CASES = {
  'fire on a clock': ('fire', kerple, 'clock positions', (), H),
  'fire of documents': ('fire', kerple, 'documents heat', WHOLE, 1),
  'cope': ('cope', kerple, 'documents heat', (('window', (30, 53, 9)),), 1),
  'sticks': ('stick_breaking', ends, 'clock documents heat', WINDOWS, 1),
  'dape of windows': ('dape', ends, '', (('window', (30, 53, 9)),), 1),
  'dape on a clock': ('dape', ends, 'clock documents', WINDOWS, H),
  'all on a clock': (
    'all', ends, 'clock documents heat positions', WINDOWS, H,
  ),
  'all of a table': ('all', ends, 'heat positions documents', (), 1),
  'a heat of all': ('sum', kerple, 'clock heat', WHOLE, 1),
}  # fmt: skip


# Those of one compilation of a few seconds; the others take up to 10.
QUICK = 'cope', 'sticks', 'dape of windows'


@pytest.mark.usefixtures('float64')
@pytest.mark.parametrize(
  'case',
  [
    pytest.param(case, marks=[pytest.mark.slow] * (case not in QUICK))
    for case in CASES
  ],
)
@hypothesis.settings(
  max_examples=6,
  deadline=None,
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
  seed=st.integers(0, 99),
  increments=st.sampled_from(['exponential', 'ties', 'far']),
)
def test_values_and_gradients_are_those_of_the_definition(
  case, seed, increments
):
  *case, h = CASES[case]
  x = inputs(seed, h, increments, case[0])
  close(both('blockwise', *case)(x), both('reference', *case)(x))


def test_a_sum_of_logit_and_bias_is_attention_without_a_score():
  x = jax.tree.map(jnp.asarray, inputs(1))
  arrays = *(x[n] for n in 'qkv'), Kernel(kerple, x['params'])
  given = dict(documents=x['documents'], heat=x['heat'], window=30)
  given['heats_bias'] = True
  for how in ('blockwise', 'reference'):
    plain = jax.jit(
      functools.partial(attend, *arrays, implementation=how, **given)
    )
    close(plain(score=Scored(Score(), {})), plain(), 1e-5)


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def cope_by_loops(q, k, v, e):
  """The definition, number after number."""
  o = np.zeros_like(v)
  for b, i, h in np.ndindex(B, T, H):
    z = [q[b, i, h] @ k[b, j, h] / K**0.5 for j in range(i + 1)]
    p = [sum(sigmoid(x) for x in z[j:]) for j in range(i + 1)]
    p = np.minimum(p, len(e) - 1)
    near, far = (f(p).astype(int) for f in (np.floor, np.ceil))
    share = p - near
    s = z + (1 - share) * (e[near] @ q[b, i, h]) + share * (e[far] @ q[b, i, h])
    w = np.exp(s - s.max())
    o[b, i, h] = w @ v[b, : i + 1, h] / w.sum()
  return o


def sticks_by_loops(q, k, v):
  o = np.zeros_like(v)
  for b, i, h in np.ndindex(B, T, H):
    stick = 1.0
    for j in reversed(range(i)):
      share = sigmoid(q[b, i, h] @ k[b, j, h] / K**0.5)
      o[b, i, h] += stick * share * v[b, j, h]
      stick *= 1 - share
  return o


@pytest.mark.usefixtures('float64')
@pytest.mark.parametrize('how', ['blockwise', 'reference'])
def test_two_of_them_against_loops(how):
  attend_by = jax.jit(functools.partial(attend, implementation=how))
  x = inputs(2)
  e = 0.5 * np.random.default_rng(3).normal(size=(9, K))
  q, k, v = (jnp.asarray(x[n]) for n in 'qkv')
  flat = jnp.zeros((H, T))
  cope = Scored(rpe.get('cope', H, positions=9).score, dict(e=jnp.asarray(e)))
  got = attend_by(q, k, v, flat, score=cope)
  close(got, cope_by_loops(*(x[n] for n in 'qkv'), e), 1e-12)
  sticks = Scored(SCORES['stick_breaking'], {})
  got = attend_by(q, k, v, flat, score=sticks)
  close(got, sticks_by_loops(*(x[n] for n in 'qkv')), 1e-12)


def test_long_sums_of_steps_are_taken_back_exactly():
  """Near keys after 4,000 steps of 1, forwards and backwards in float32."""
  n = 2048
  near = Score(
    logit=lambda tile, params: tile.z - tile.passed,
    step=lambda tile, params: 0.5 + params['a'] + 0 * tile.z,
  )
  rng = np.random.default_rng(4)
  q, k, v = (jnp.asarray(rng.normal(size=(1, n, 1, 2))) for _ in range(3))

  @jax.jit
  def scored(q, a):
    score = Scored(near, dict(a=a))
    return attend(q, k, v, jnp.zeros((1, n)), score=score)[:, 1900:].sum()

  @jax.jit
  def table(q, a):
    slope = -(0.5 + a) * jnp.arange(n)[None]
    return attend(q, k, v, slope)[:, 1900:].sum()

  a = jnp.float32(0.7)
  got, want = (jax.grad(f, argnums=(0, 1))(q, a) for f in (scored, table))
  close(got, want, 2e-5)


def test_memory_grows_with_length_and_not_with_its_square():
  sizes = []
  score = rpe.get('stick_breaking', 2).score

  def loss(q, k, v, table):
    return attend(q, k, v, table, score=Scored(score, {})).sum()

  for n in (2048, 8192):
    x, table = (
      jax.ShapeDtypeStruct(s, jnp.float32) for s in ((1, n, 2, 8), (2, n))
    )
    grad = jax.jit(jax.grad(loss, argnums=range(4)))
    done = grad.lower(x, x, x, table).compile()
    sizes.append(done.memory_analysis().temp_size_in_bytes)
  assert sizes[1] < 5 * sizes[0] < 8192**2


@pytest.mark.slow
@pytest.mark.usefixtures('float64')
def test_on_eight_devices(monkeypatch):
  monkeypatch.setattr('extrapolation.attention.sequence.UNIT', 4)
  x = inputs(6, score='all')
  *case, _ = CASES['all on a clock']
  want = both('reference', *case)(x)
  auto = (jax.sharding.AxisType.Auto,) * 3
  with jax.set_mesh(jax.make_mesh((2, 1, 4), ('data', 'fsdp', 'seq'), auto)):
    got = both.__wrapped__('blockwise', *case)(x)
  close(got, want)


ones = functools.partial(jnp.ones, dtype=jnp.float32)
BAD = {
  'without a score, which reads them': dict(
    score=None, positions=ones((1, 5, 1))
  ),
  'positions float32 .1, 4, 1.: it must': dict(positions=ones((1, 4, 1))),
  'one bool, or one per head': dict(
    score=Scored(Score(softmax=(True, False)), {})
  ),
  'the logit of a score gives .2, 3.': dict(
    score=Scored(Score(logit=lambda tile, params: tile.z[0]), {})
  ),
  'take one of q.k, whole=false': dict(
    score=Scored(Score(softmax=(True, False, True)), {}),
    heat=2 * ones((1, 5, 1)), heats_bias=True,
  ),
  'pallas takes no clock, documents, score': dict(implementation='pallas'),
  'shrink=True knows the bias by i - j': dict(shrink=True, window=2),
}  # fmt: skip


@pytest.mark.parametrize('message', BAD)
def test_errors_name_what_does_not_fit(message):
  x, given = ones((1, 5, H, K)), dict(score=Scored(SUM, {})) | BAD[message]
  with pytest.raises(ValueError, match=message) as error:
    inspect.unwrap(attend)(x, x, x, ones((H, 5)), **given)
  assert '\n' not in str(error.value)


def test_no_sum_of_weights_without_a_softmax():
  x, sticks = ones((1, 5, H, K)), Scored(SCORES['stick_breaking'], {})
  with pytest.raises(ValueError, match='divided by no sum'):
    attend_with_lse(x, x, x, ones((H, 5)), score=sticks)
