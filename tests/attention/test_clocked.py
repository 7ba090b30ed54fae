"""Tiles under clocks, heats, documents and windows against the definition."""

import functools
import inspect
import re

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation.attention import (
  Kernel,
  accumulate,
  attend,
  attend_with_lse,
  tiles,
)

H, K = 3, 4


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
  monkeypatch.setattr(tiles, 'BLOCK', 8)


@pytest.fixture
def float64():
  with jax.enable_x64(True):
    yield


def kerple(t, params):
  return -params['a'] * jnp.log1p(params['b'] * t)


def ends(t, params):
  """Weight zero from a distance on, and rows that do not broadcast."""
  rows = [jnp.where(t < 3 * (h + 1), -params['a'][h] * t, -jnp.inf)
          for h in range(H)]  # fmt: skip
  return jnp.stack(rows)


def inputs(seed, B=2, T=37, h=H, heads_of_heat=H, increments='exponential'):
  """Operands of `run`, float64."""
  rng = np.random.default_rng(seed)
  q, k, v, g = (rng.normal(size=(B, T, H, K)) for _ in range(4))
  draw = {
    'exponential': lambda size: rng.exponential(size=size),
    'ties': lambda size: rng.integers(0, 3, size).astype(float),
    'far': lambda size: 1e5 * (rng.uniform(size=size) < 0.1) + 1e-3,
  }
  p = dict(
    a=rng.uniform(0.5, 2, (H, 1)),
    b=rng.uniform(0.1, 2, (H, 1)),
  )
  return dict(
    q=q, k=k, v=v, g=g, params=p,
    increments=draw[increments]((B, T, h)),
    heat=rng.uniform(0.5, 2, (B, T, heads_of_heat)),
    documents=np.sort(rng.integers(0, 4, (B, T)), 1).astype(np.int32),
  )  # fmt: skip


@functools.cache  # compiled once per case: what hypothesis draws is data
def both(how, bias, parts, options):
  """Output and all gradients of `inputs`, under the `parts` of them."""

  def forward(qkv, params, increments, heat, documents):
    kernel, given = Kernel(bias, params), dict(options)
    if 'clock' in parts:
      given['clock'] = accumulate(increments)
    if 'heat' in parts:
      given['heat'] = heat
    if 'documents' in parts:
      given['documents'] = documents
    return attend(*qkv, kernel, implementation=how, **given)

  def f(x):
    operands = [(x['q'], x['k'], x['v']), x['params'], x['increments'],
                x['heat']]  # fmt: skip
    o, pull = jax.vjp(lambda *a: forward(*a, x['documents']), *operands)
    return o, pull(x['g'])

  return jax.jit(f)


WHOLE = (('heats_bias', True),)
WINDOWS = (('window', (20, 37, 9)), ('clock_window', (2.0, 5.0, 9.0)))
# the kernel, what else there is, options, sizes
CASES = {
  'a clock per head, heat of all': (kerple, 'clock heat', WHOLE, {}),
  'one clock, windows, documents': (
    ends, 'clock heat documents', WINDOWS, dict(h=1, heads_of_heat=1),
  ),
  'windows of a clock per head': (ends, 'clock', WINDOWS, {}),
  'a table, its heat, documents': (
    ends, 'heat documents', (*WHOLE, ('window', 11)), {},
  ),
}  # fmt: skip


@pytest.mark.usefixtures('float64')
@pytest.mark.parametrize('case', CASES)
@hypothesis.settings(
  max_examples=8,
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
  *case, sizes = CASES[case]
  x = inputs(seed, increments=increments, **sizes)
  close(both('blockwise', *case)(x), both('reference', *case)(x))


def close(got, want, error=1e-12):
  """Relative to the largest entry, or to 1."""
  for a, b in zip(*map(jax.tree.leaves, (got, want)), strict=True):
    scale = max(1.0, float(np.abs(b).max()))
    np.testing.assert_allclose(a / scale, b / scale, rtol=0, atol=error)


def slopes(t, params):
  return -params['slope'] * t


def line(t, params):
  del params
  return -t * jnp.ones((H, 1))


@pytest.mark.usefixtures('float64')
def test_a_line_of_constant_gates_is_alibi_of_that_slope():
  x, slope = inputs(0), np.array([0.5, 0.03, 2.0])

  def gated(qkv, slope):
    clock = accumulate(jnp.broadcast_to(slope, (2, 37, H)))
    return attend(*qkv, Kernel(line, {}), clock=clock)

  def table(qkv, slope):
    kernel = Kernel(slopes, dict(slope=slope[:, None]))
    return attend(*qkv, kernel, implementation='reference')

  @functools.partial(jax.jit, static_argnums=0)
  def results(f, qkv, slope, g):
    o, pull = jax.vjp(f, qkv, slope)
    return o, pull(g)

  x = [tuple(x[n] for n in 'qkv'), slope, x['g']]
  close(*(results(f, *x) for f in (gated, table)))


@pytest.mark.usefixtures('float64')
@pytest.mark.parametrize('given', ['positions', 'increments'])
def test_even_steps_are_the_table(given):
  x = inputs(1)
  q, k, v = (jnp.asarray(x[n]) for n in 'qkv')
  step = np.array([0.25, 1.0, 7.0])
  clock = step * np.arange(1.0, 38)[:, None] + np.zeros((2, 1, 1))
  if given == 'increments':
    clock = accumulate(jnp.asarray(np.diff(clock, axis=1, prepend=0)))
  got = attend(q, k, v, Kernel(kerple, x['params']), clock=jnp.asarray(clock)
               if given == 'positions' else clock)  # fmt: skip
  scaled = dict(a=x['params']['a'], b=x['params']['b'] * step[:, None])
  table = kerple(jnp.arange(37.0), scaled)
  close(got, attend(q, k, v, table, implementation='reference'))


def test_a_position_given_as_one_number_has_its_gradient():
  x = jax.tree.map(jnp.asarray, inputs(2, B=1, T=20))
  positions = jnp.cumsum(x['increments'], 1)

  def loss(p, how):
    o = attend(x['q'], x['k'], x['v'], Kernel(kerple, x['params']), clock=p,
               implementation=how)  # fmt: skip
    return (o * x['g']).sum()

  grad = jax.jit(jax.grad(loss), static_argnums=1)
  got, want = (grad(positions, how) for how in ('blockwise', 'reference'))
  close(got, want, 1e-5)


def test_far_clocks_keep_near_differences():
  """At 1e5 one float32 would give distances to 0.008, a bias to 0.06."""
  x = inputs(3, B=1)
  far = x['increments'].copy()
  far[:, 0] += 1e5
  steep = Kernel(line, {})
  q, k, v = (jnp.asarray(x[n], jnp.float32) for n in 'qkv')
  clocks = (jnp.asarray(8 * i, jnp.float32) for i in (far, x['increments']))
  got, want = (attend(8 * q, k, v, steep, clock=accumulate(i)) for i in clocks)
  np.testing.assert_allclose(got, want, atol=1e-5)


# Documents of 1, 20, 3, 13 tokens, and how each attends apart.
LENGTHS = (1, 20, 3, 13)


@pytest.mark.parametrize(
  'parts, wide', [('', False), ('clock heat', False), ('clock heat', True)]
)
def test_packed_documents_are_those_documents_apart(parts, wide):
  stops = np.cumsum(LENGTHS)
  spans = [slice(b - n, b) for n, b in zip(LENGTHS, stops, strict=True)]
  ids = np.repeat([7, 3, 3000, 1], LENGTHS)[None].astype(np.int32)

  def run(x, span, how, **given):
    if 'clock' in parts:
      given['clock'] = accumulate(x['increments'][:, span])
    if 'heat' in parts:
      given |= dict(heat=x['heat'][:, span], heats_bias=True)
    kernel = Kernel(kerple, x['params'])
    o, pull = jax.vjp(
      lambda *a: attend(*a, kernel, implementation=how, **given),
      *(x[n][:, span] for n in 'qkv'),
    )
    return o, pull(x['g'][:, span])

  @jax.jit
  def both(x):
    packed = run(x, slice(None), 'blockwise', documents=jnp.asarray(ids))
    apart = [run(x, span, 'reference') for span in spans]
    return packed, jax.tree.map(lambda *a: jnp.concatenate(a, 1), *apart)

  with jax.enable_x64(wide):
    dtype = jnp.float64 if wide else jnp.float32
    x = jax.tree.map(lambda x: jnp.asarray(x, dtype), inputs(4, B=1))
    close(*both(x), 1e-12 if wide else 1e-5)


def test_no_array_of_queries_times_keys():
  """Forward and backward of 4,096 tokens; a tile is the largest there is."""
  T = 4096
  x = jax.ShapeDtypeStruct((1, T, 2, 8), jnp.float32)
  step = jax.ShapeDtypeStruct((1, T, 2), jnp.float32)

  def f(q, k, v, increments, heat):
    o = attend(q, k, v, Kernel(lambda t, p: -t * jnp.ones((2, 1)), {}),
               clock=accumulate(increments), heat=heat, heats_bias=True,
               documents=jnp.zeros((1, T), jnp.int32))  # fmt: skip
    return o.sum()

  grad = jax.jit(jax.grad(f, argnums=range(5)))
  done = grad.lower(x, x, x, step, step).compile()
  shapes = re.findall(r'[a-z]\w*\[([\d,]+)\]', done.as_text())
  sizes = [np.prod([int(n) for n in s.split(',')]) for s in shapes]
  assert max(sizes) <= T * T / 8
  assert done.memory_analysis().temp_size_in_bytes < 2e7


def test_one_function_is_compiled_once():
  count = []

  @jax.jit
  def f(x, kernel, clock):
    count.append(1)
    return attend(x, x, x, kernel, clock=clock)

  x = inputs(5)
  q = jnp.asarray(x['q'], jnp.float32)
  for scale in (1.0, 2.0):
    params = {n: scale * y for n, y in x['params'].items()}
    increments = jnp.asarray(scale * x['increments'])
    f(q, Kernel(kerple, params), accumulate(increments))
  assert len(count) == 1


@pytest.mark.usefixtures('float64')
@pytest.mark.parametrize(
  'shape', [pytest.param((4, 2, 1), marks=pytest.mark.slow), (2, 1, 4)]
)
def test_on_eight_devices(shape, monkeypatch):
  monkeypatch.setattr('extrapolation.attention.sequence.UNIT', 4)
  x = inputs(6, B=8, T=61)
  case = kerple, 'clock heat documents', (*WHOLE, ('window', 30))
  want = both('reference', *case)(x)
  auto = (jax.sharding.AxisType.Auto,) * 3
  with jax.set_mesh(jax.make_mesh(shape, ('data', 'fsdp', 'seq'), auto)):
    got = both.__wrapped__('blockwise', *case)(x)
  close(got, want)


@pytest.mark.usefixtures('float64')
def test_lse_is_the_log_of_the_sum_of_weights():
  x = jax.tree.map(jnp.asarray, inputs(7))
  arrays = x['q'], x['k'], jnp.ones_like(x['v']), Kernel(kerple, x['params'])
  clock = accumulate(x['increments'])
  _, lse = attend_with_lse(*arrays, clock=clock)
  p = jnp.cumsum(x['increments'], 1)
  for i in (0, 20, 36):
    z = jnp.einsum('bhk,bshk->bhs', x['q'][:, i], x['k'][:, : i + 1]) / K**0.5
    b = -x['params']['a'] * jnp.log1p(
      x['params']['b'] * (p[:, i : i + 1] - p[:, : i + 1]).swapaxes(1, 2)
    )
    want = jax.nn.logsumexp(z + b, axis=-1)
    np.testing.assert_allclose(lse[:, i], want, atol=1e-12)


ones = functools.partial(jnp.ones, dtype=jnp.float32)
BAD = {
  'give the function, Kernel': dict(bias=ones((H, 5))),
  'it must be .3, 3., a row for each': dict(
    bias=Kernel(lambda t, p: -t[None], {})
  ),
  'without a clock': dict(clock=None, clock_window=3.0),
  'clock_window -1': dict(clock_window=-1.0),
  'without a heat': dict(heats_bias=True),
  'heat float32 .1, 5.: it must be': dict(heat=ones((1, 5))),
  'clock float32 .1, 5, 2.: it must be': dict(clock=ones((1, 5, 2))),
  'a heat must be > 0': dict(heat=-ones((1, 5, 1))),
  'a clock that goes back by 1': dict(
    clock=jnp.asarray([0.0, 2, 1, 3, 4])[None, :, None]
  ),
  'whole numbers, one per token': dict(documents=ones((1, 5))),
  'cudnn takes no clock': dict(implementation='cudnn'),
  'shrink=True knows the bias by i - j': dict(shrink=True, window=2),
}


@pytest.mark.parametrize('message', BAD)
def test_errors_name_what_does_not_fit(message):
  given = dict(bias=Kernel(line, {}), clock=ones((1, 5, 1))) | BAD[message]
  x = ones((1, 5, H, K))
  checked = inspect.unwrap(attend)  # past the shape checks of the test run
  with pytest.raises(ValueError, match=message) as error:
    checked(x, x, x, given.pop('bias'), **given)
  assert '\n' not in str(error.value)
