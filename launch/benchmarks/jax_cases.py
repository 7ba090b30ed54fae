"""Cases in JAX: the project's own code, and the plain form of each part.

A case is a function of sizes that returns `(run, about)`: `run()` does it once
and waits; `about` holds FLOPs, items and bytes a repetition, and temporary
memory.
"""

import functools
import math

import jax
import jax.numpy as jnp
import optax

from extrapolation import (
  attention,
  generate,
  linear,
  loss,
  memory,
  model,
  optim,
)
from extrapolation.attention import decode

ENCODING = 'alibi'


def flops_forward(N, D, F, V, T, window=None):
  """A token, mean over T causal ones; `window` keys each at most."""
  seen = T / 2 if window is None else min(window, T / 2)
  return 2 * (N * (4 * D * D + 2 * D * F) + V * D) + 4 * N * D * seen


def _compiled(f, *args, donate=()):
  f = jax.jit(f, donate_argnums=donate).lower(*args).compile()
  memory = f.memory_analysis()
  return f, dict(temp_mb=memory.temp_size_in_bytes / 1e6) if memory else {}


def _waits(f, *args):
  def run():
    jax.block_until_ready(f(*args))

  return run


def peak(m=4096, k=256, n=1024, dtype='float32'):
  """A matrix product: what the machine can do at most."""
  a, b = jnp.ones((m, k), dtype), jnp.ones((k, n), dtype)
  f = jax.jit(lambda a, b: a @ b)
  about = dict(flops=2 * m * k * n, is_peak=True)
  return _waits(f, a, b), about


def bandwidth(megabytes=268):
  """Reads of an array that no cache holds: bytes a second."""
  x = jnp.ones(megabytes * 250_000, jnp.float32)
  f = jax.jit(jnp.sum)
  return _waits(f, x), dict(bytes=x.nbytes)


def plain_attend(q, k, v, bias):
  """One product of all queries and keys, one softmax, one more product."""
  T, K = q.shape[1], q.shape[3]
  t = jnp.arange(T)[:, None] - jnp.arange(T)
  logits = jnp.einsum('bthk,bshk->bhts', q, k) / math.sqrt(K)
  logits = jnp.where(t >= 0, logits + bias[:, jnp.abs(t)], -jnp.inf)
  return jnp.einsum('bhts,bshk->bthk', jax.nn.softmax(logits, axis=-1), v)


def _model(plain, N, D, H, F, V, dtype='float32', rpe=ENCODING):
  if plain:  # as anyone writes it, for the whole process
    linear.dense = lambda x, w, b=None: x @ w + (0 if b is None else b)
    model.ACTIVATIONS['gelu'] = jax.nn.gelu
  fields = dict(
    N=N, D=D, H=H, F=F, rpe=rpe, dtype=dtype, activation='gelu', scan=False
  )
  m = model.make(V, **fields)
  return m, m.init(jax.random.key(0))


def _plain_nll(m, params, tokens, targets):
  logits = m.logits(params, tokens, attend=plain_attend)
  return optax.softmax_cross_entropy_with_integer_labels(logits, targets)


def train(form, B, T, N, D, H, F, V, dtype='float32', rpe=ENCODING, keep=False):
  """One step: loss, gradient, clipping, AdamW; `form` is 'plain' or 'ours'.

  `keep`: what `extrapolation.train` does first, `memory.keep`.
  """
  if keep:
    memory.keep()
  m, params = _model(form == 'plain', N, D, H, F, V, dtype, rpe)
  tx, _ = optim.make(1000, warmup=100)
  batch = jax.random.randint(jax.random.key(1), (B, T + 1), 0, V)

  def mean_nll(params, tokens, targets):
    if form == 'plain':
      return _plain_nll(m, params, tokens, targets).mean()
    x, E = m.hidden(params, tokens), params['embed']['embedding']
    even = jnp.full(targets.shape, 1 / targets.size)
    return loss.total_nll(x, E, targets, even)

  def step(state, batch):
    params, opt = state
    value, grads = jax.value_and_grad(mean_nll)(
      params, batch[:, :-1], batch[:, 1:]
    )
    updates, opt = tx.update(grads, opt, params)
    return (optax.apply_updates(params, updates), opt), value

  state = [(params, tx.init(params))]
  f, about = _compiled(step, state[0], batch, donate=0)

  def run():
    state[0], value = f(state[0], batch)
    return round(float(value), 6)

  # Every form is given the count of the full square, so that ratios compare.
  flops = 3 * B * T * flops_forward(N, D, F, V, 2 * T)
  return run, about | dict(items=B * T, flops=flops)


def evaluate(form, T, N, D, H, F, V, window=None):
  """NLL of one sequence; `form` is 'plain' or 'ours'."""
  m, params = _model(form == 'plain', N, D, H, F, V)
  tokens = jax.random.randint(jax.random.key(1), (1, T + 1), 0, V)
  window = tuple(window) if isinstance(window, list) else window

  def nll(params, tokens):
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    if form == 'plain':
      return _plain_nll(m, params, inputs, targets).mean()
    attend = functools.partial(attention.attend, window=window)
    n, params = model.for_length(m, params, T)
    return n.nll(params, inputs, targets, attend=attend).mean()

  f, about = _compiled(nll, params, tokens)
  w = sum(window) / H if isinstance(window, tuple) else window
  flops = T * flops_forward(N, D, F, V, T, w)
  run = lambda: round(float(f(params, tokens)), 8)  # noqa: E731
  return run, about | dict(items=T, flops=flops)


def attend(
  implementation, B, T, H, K, dtype='float32', window=None, backward=True
):
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
    f, about = _compiled(both, q, k, v, bias, g)
    run = _waits(f, q, k, v, bias, g)
  else:
    f, about = _compiled(forward, q, k, v, bias)
    run = _waits(f, q, k, v, bias)
  return run, about | dict(items=B * T, flops=flops)


def generation(window, context, N, D, H, F, V, tokens=64):
  """`tokens` tokens of one sequence after `context`, greedily."""
  m, params = _model(False, N, D, H, F, V)
  windows = (window,) * H
  _, step = generate.decoder(m, windows)
  tables = m.bias(params, window)
  caches = [decode.init_cache(1, H, D // H, window) for _ in range(N)]

  def run_tokens(params, tables, caches, token, position):
    def one(carry, n):
      caches, token = carry
      logits, caches = step(params, tables, caches, token, position + n)
      return (caches, jnp.argmax(logits, -1).astype(token.dtype)), token

    (caches, token), _ = jax.lax.scan(one, (caches, token), jnp.arange(tokens))
    return caches, token

  state = [caches, jnp.zeros(1, jnp.int32)]
  position = jnp.int32(context - tokens)
  f, about = _compiled(run_tokens, params, tables, *state, position, donate=2)

  def run():
    state[:] = f(params, tables, *state, position)
    state[1].block_until_ready()

  size = sum(x.size for x in jax.tree.leaves(params))
  moved = 4 * tokens * (size + 2 * N * window * D)
  return run, about | dict(items=tokens, bytes=moved)
