"""Cases in JAX: the project's own code, and the plain form of each part.

A case is a function of sizes that returns `(run, about)`: `run()` does it once
and waits; `about` holds FLOPs, items and bytes per repetition, and temporary
memory. `size` is N, D, H, F and V of the model.
"""

import itertools
import math
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from extrapolation import attention, config, model, rpe, training
from extrapolation.attention import decode
from extrapolation.cli import allocator
from extrapolation.model import decoder, linear, transformer
from extrapolation.runs.checkpoint import Checkpoints
from extrapolation.training import loop, optimizer

ENCODING = 'alibi'

Case = tuple[Callable[[], float | None], dict]


def flops_forward(T: int, window: float | None = None, **size: int) -> float:
  """Per token, mean over T causal ones; `window` keys each at most."""
  N, D, F, V = (size[name] for name in 'NDFV')
  seen = T / 2 if window is None else min(window, T / 2)
  return 2 * (N * (4 * D * D + 2 * D * F) + V * D) + 4 * N * D * seen


def compiled(
  f: Callable, *args: Any, donate: int | tuple[int, ...] = ()
) -> tuple[Callable, dict]:
  f = jax.jit(f, donate_argnums=donate).lower(*args).compile()
  memory = f.memory_analysis()
  return f, dict(temp_mb=memory.temp_size_in_bytes / 1e6) if memory else {}


def waits(f: Callable, *args: Any) -> Callable[[], None]:
  def run():
    jax.block_until_ready(f(*args))

  return run


def peak(
  m: int = 4096, k: int = 256, n: int = 1024, dtype: str = 'float32'
) -> Case:
  """A matrix product: what the machine can do at most."""
  a, b = jnp.ones((m, k), dtype), jnp.ones((k, n), dtype)
  f = jax.jit(lambda a, b: a @ b)
  about = dict(flops=2 * m * k * n, is_peak=True)
  return waits(f, a, b), about


def bandwidth(megabytes: int = 268) -> Case:
  """Reads of an array that no cache holds: bytes per second."""
  x = jnp.ones(megabytes * 250_000, jnp.float32)
  f = jax.jit(jnp.sum)
  return waits(f, x), dict(bytes=x.nbytes)


def plain_attend(
  q: jax.Array, k: jax.Array, v: jax.Array, bias: jax.Array, layer: int
) -> jax.Array:
  """One product of all queries and keys, one softmax, one more product."""
  del layer
  T, K = q.shape[1], q.shape[3]
  t = jnp.arange(T)[:, None] - jnp.arange(T)
  logits = jnp.einsum('bthk,bshk->bhts', q, k) / math.sqrt(K)
  logits = jnp.where(t >= 0, logits + bias[:, jnp.abs(t)], -jnp.inf)
  return jnp.einsum('bhts,bshk->bthk', jax.nn.softmax(logits, axis=-1), v)


def _model(plain: bool, V: int, **fields: Any) -> tuple[model.Model, dict]:
  if plain:  # as anyone writes it, for the whole process
    linear.dense = lambda x, w, b=None: x @ w + (0 if b is None else b)
    transformer.ACTIVATIONS['gelu'] = jax.nn.gelu
  m = model.make(V, config.Model(rpe=ENCODING, activation='gelu', **fields))
  return m, m.init(jax.random.key(0))


def _plain_nll(
  m: model.Model, params: dict, tokens: jax.Array, targets: jax.Array
) -> jax.Array:
  logits = m.logits(params, tokens, attend=plain_attend)
  return optax.softmax_cross_entropy_with_integer_labels(logits, targets)


def train(
  form: str, B: int, T: int, *, keep: bool = False, **size: int
) -> Case:
  """One step: loss, gradient, clipping, AdamW; `form` is 'plain' or 'ours'.

  `keep`: call `allocator.keep` first, as `extrapolation.train` does.
  """
  if keep:
    allocator.keep()
  m, params = _model(form == 'plain', **size)
  tx, _ = optimizer.make(1000, config.Optim(warmup=100))
  batch = jax.random.randint(jax.random.key(1), (B, T + 1), 0, m.V)

  def mean_nll(params: dict, tokens: jax.Array, targets: jax.Array):
    if form == 'plain':
      return _plain_nll(m, params, tokens, targets).mean()
    even = jnp.full(targets.shape, 1 / targets.size)
    return m.total_nll(params, tokens, targets, even)

  def step(state: tuple, batch: jax.Array):
    params, opt = state
    value, grads = jax.value_and_grad(mean_nll)(
      params, batch[:, :-1], batch[:, 1:]
    )
    updates, opt = tx.update(grads, opt, params)
    return (optax.apply_updates(params, updates), opt), value

  state = [(params, tx.init(params))]
  f, about = compiled(step, state[0], batch, donate=0)

  def run():
    state[0], value = f(state[0], batch)
    return round(float(value), 6)

  # Every form is given the count of the full square, so that ratios compare.
  flops = 3 * B * T * flops_forward(2 * T, **size)
  return run, about | dict(items=B * T, flops=flops)


def evaluate(
  form: str, T: int, *, window: int | list[int] | None = None, **size: int
) -> Case:
  """NLL of one sequence; `form` is 'plain' or 'ours'."""
  m, params = _model(form == 'plain', **size)
  tokens = jax.random.randint(jax.random.key(1), (1, T + 1), 0, m.V)
  per_head = isinstance(window, list)
  mean = sum(window) / len(window) if per_head else window
  keys = tuple(window) if per_head else window

  def attend(q, k, v, bias, layer):
    del layer
    return attention.attend(q, k, v, bias, window=keys)

  def nll(params: dict, tokens: jax.Array):
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    if form == 'plain':
      return _plain_nll(m, params, inputs, targets).mean()
    network, stacked = model.for_length(m.network, params, T)
    bias = m.bias(params, T)
    return network.nll(stacked, bias, inputs, targets, attend=attend).mean()

  f, about = compiled(nll, params, tokens)
  flops = T * flops_forward(T, mean, **size)
  run = lambda: round(float(f(params, tokens)), 8)  # noqa: E731
  return run, about | dict(items=T, flops=flops)


def attend(
  implementation: str,
  B: int,
  T: int,
  H: int,
  K: int,
  dtype: str = 'float32',
  window: int | None = None,
  backward: bool = True,
) -> Case:
  """Attention alone, forward or forward and backward."""
  keys = jax.random.split(jax.random.key(0), 4)
  q, k, v, g = (jax.random.normal(x, (B, T, H, K), dtype) for x in keys)
  slopes = jnp.exp2(-8 * jnp.arange(1, H + 1) / H)[:, None]
  bias = -slopes * jnp.arange(T)

  def forward(q, k, v, bias):
    if implementation in ('nobias', 'nobias-cudnn'):
      backend = 'cudnn' if implementation.endswith('cudnn') else None
      return jax.nn.dot_product_attention(
        q, k, v, is_causal=True, implementation=backend
      )
    return attention.attend(
      q, k, v, bias, window=window, implementation=implementation
    )

  def both(q, k, v, bias, g):
    o, pull = jax.vjp(forward, q, k, v, bias)
    return o, pull(g)

  seen = T / 2 if window is None else min(window, T / 2)
  flops = 4 * B * T * seen * H * K * (3.5 if backward else 1)
  if backward:
    f, about = compiled(both, q, k, v, bias, g)
    run = waits(f, q, k, v, bias, g)
  else:
    f, about = compiled(forward, q, k, v, bias)
    run = waits(f, q, k, v, bias)
  return run, about | dict(items=B * T, flops=flops)


def gated(
  implementation: str,
  B: int,
  T: int,
  H: int,
  K: int,
  dtype: str = 'float32',
  backward: bool = True,
) -> Case:
  """Attention alone under forget gates: `linear@forget`, gates given."""
  keys = jax.random.split(jax.random.key(0), 5)
  q, k, v, g = (jax.random.normal(x, (B, T, H, K), dtype) for x in keys[:4])
  increments = jax.nn.softplus(jax.random.normal(keys[4], (B, T, H)))
  kernel = attention.Kernel(rpe.get('linear', H).bias, {})

  def forward(q, k, v, increments):
    clock = attention.accumulate(increments)
    return attention.attend(
      q, k, v, kernel, clock=clock, implementation=implementation
    )

  def both(q, k, v, increments, g):
    o, pull = jax.vjp(forward, q, k, v, increments)
    return o, pull(g)

  operands = (q, k, v, increments, *([g] if backward else []))
  f, about = compiled(both if backward else forward, *operands)
  flops = 2 * B * T * T * H * K * (3.5 if backward else 1)
  return waits(f, *operands), about | dict(items=B * T, flops=flops)


def generation(
  window: int, context: int, *, tokens: int = 64, **size: int
) -> Case:
  """`tokens` tokens of one sequence after `context`, greedily."""
  m, params = _model(False, **size)
  N, D, H = (size[name] for name in 'NDH')
  _, step = decoder.decoder(m.network, (window,) * H)
  bias = m.bias(params, window)
  caches = [decode.init_cache(1, H, D // H, window) for _ in range(N)]

  def run_tokens(params, bias, caches, token, position):
    def one(carry, n):
      caches, token = carry
      logits, caches = step(params, bias, caches, token, position + n)
      return (caches, jnp.argmax(logits, -1).astype(token.dtype)), token

    (caches, token), _ = jax.lax.scan(one, (caches, token), jnp.arange(tokens))
    return caches, token

  state = [caches, jnp.zeros(1, jnp.int32)]
  position = jnp.int32(context - tokens)
  f, about = compiled(run_tokens, params, bias, *state, position, donate=2)

  def run():
    state[:] = f(params, bias, *state, position)
    jax.block_until_ready(state)

  parameters = sum(x.size for x in jax.tree.leaves(params))
  moved = 4 * tokens * (parameters + 2 * N * window * D)
  return run, about | dict(items=tokens, bytes=moved)


def save(steps: int, path: str, *, saving: bool) -> Case:
  """Steps of a run as `extrapolation.train` makes them, and then a save.

  The next repetition goes on while that is written, as training does.

  path: the config of the run.
  """
  e = config.load(path)
  p = training.make(e, 257)
  shape, key = (e.train.B, e.train.T + 1), jax.random.key(0)
  state, bias = [p.init(key)], p.bias_table(p.init(key).params)
  tokens = np.asarray(jax.random.randint(key, shape, 0, 257), np.int32)
  folder = tempfile.TemporaryDirectory()
  checkpoints = Checkpoints(folder.name)
  count = itertools.count(1)

  def run() -> float:
    metrics = {}
    for _ in range(steps):
      batch = p.layout.global_from_local(tokens, e.train.B)
      state[0], metrics = p.step(state[0], batch, key, bias)
    value = float(metrics['loss'])
    if saving:
      checkpoints.save(next(count), loop.items(state[0]), dict(of=folder.name))
    return round(value, 6)

  items = steps * e.train.B * e.train.T
  return run, dict(items=items)
