"""Text from one run: `python -m extrapolation.generate --workdir=DIR`.

Constant memory and constant time a token, however long the text: a ring of
keys a head, as wide as `--window` says. `certified:ERROR` takes the width from
theory: the output of no attention moves by more than ERROR (relative to the
largest value vector) for what has left the ring.
"""

import dataclasses
import functools
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from extrapolation import attention, certificate, cli, run
from extrapolation import model as model_lib
from extrapolation.attention import decode


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
  """How the next token is drawn; temperature 0 takes the likeliest."""

  temperature: float = 1.0
  top_k: int = 0  # 0 is all
  top_p: float = 1.0

  def __post_init__(self):
    if self.temperature and not 1e-6 <= self.temperature < float('inf'):
      raise ValueError(
        f'--temperature={self.temperature}: needs 0, which is greedy, or '
        'at least 1e-6'
      )
    if self.top_k < 0:
      raise ValueError(f'--top_k={self.top_k}: needs >= 0, 0 is all')
    if not 0 < self.top_p <= 1:
      raise ValueError(f'--top_p={self.top_p}: needs 0 < p <= 1')

  def __call__(self, logits, key):
    """A token for each row of logits [B, V]."""
    if self.temperature == 0:
      return jnp.argmax(logits, axis=-1)
    logits = logits / self.temperature
    down = jnp.sort(logits, axis=-1)[:, ::-1]
    least = jnp.full_like(down[:, :1], -jnp.inf)
    if self.top_k:
      least = down[:, min(self.top_k, down.shape[1]) - 1][:, None]
    if self.top_p < 1:  # a sum may reach 1 before the last token
      p = jax.nn.softmax(down, axis=-1)
      # The smallest set whose probability reaches top_p; never empty.
      inside = jnp.cumsum(p, axis=-1) - p < self.top_p
      nucleus = jnp.where(inside, down, jnp.inf).min(-1, keepdims=True)
      least = jnp.maximum(least, nucleus)
    logits = jnp.where(logits >= least, logits, -jnp.inf)
    return jax.random.categorical(key, logits)


def decoder(m: model_lib.Model, window: tuple[int, ...]):
  """(prefill, step): next-token logits [B, V] and the caches of all layers.

  prefill: `(params, tokens [B, T]) -> (logits, caches)`.
  step: `(params, tables, caches, token [B], position) -> (logits, caches)`;
    tables are `m.bias(params, n)` with n >= every window.
  """
  c = m.config

  def prefill(params, tokens):
    caches = []

    def attend(q, k, v, bias):
      B, _, H, K = k.shape
      empty = decode.init_cache(B, H, K, window, k.dtype)
      caches.append(decode.prefill(k, v, empty))
      return attention.attend(q, k, v, bias, window=window)

    x = m.hidden(params, tokens, attend=attend)
    return model_lib.logits(params, x[:, -1]), caches

  def step(params, tables, caches, token, position):
    caches = list(caches)
    layer = iter(range(c.N))

    def attend(q, k, v, bias):
      del bias  # of length 1; the ring reaches further
      i = next(layer)
      o, caches[i] = decode.step(q, k, v, tables[i], caches[i], position)
      return o

    x = m.hidden(
      params, token[:, None], positions=position[None], attend=attend
    )
    return model_lib.logits(params, x[:, -1]), caches

  return jax.jit(prefill), jax.jit(step, donate_argnums=2)


def stream(
  m: model_lib.Model,
  params,
  ids: list[int],
  window: tuple[int, ...],
  sampling: Sampling,
  seed: int,
):
  """Yields token after token that follows `ids`, without end."""
  prefill, step = decoder(m, window)
  tables = m.bias(params, max(window))
  draw = jax.jit(sampling)
  key = jax.random.key(seed)
  logits, caches = prefill(params, jnp.asarray([ids], jnp.int32))
  position = len(ids)
  while True:
    token = draw(logits, jax.random.fold_in(key, position))
    yield int(token[0])
    logits, caches = step(params, tables, caches, token, jnp.asarray(position))
    position += 1


def check_length(m: model_lib.Model, length: int) -> None:
  """Raises the encoding's own ValueError if it cannot rotate so far.

  One token at a time it would not see how long the text gets.
  """
  q = jax.ShapeDtypeStruct((1, length, 1, 2), jnp.float32)
  positions = jax.ShapeDtypeStruct((length,), jnp.int32)
  jax.eval_shape(m.encoding.rotate, q, q, positions)


class Printer:
  """Writes tokens as text as soon as they make whole characters."""

  def __init__(self, tokenizer, write: Callable[[str], None]):
    self.tokenizer, self.write, self.waiting = tokenizer, write, []

  def __call__(self, token: int) -> None:
    self.waiting.append(token)
    text = self._text(self.waiting)
    if not text.endswith('\ufffd'):
      self._write(len(self.waiting))
    elif len(self.waiting) > 8:  # no character: what no other token changes
      for n in range(len(self.waiting) - 4, 0, -1):
        parts = self.waiting[:n], self.waiting[n:]
        if ''.join(map(self._text, parts)) == text:
          self._write(n)
          break

  def close(self) -> None:
    """Writes what is left, characters or not."""
    self._write(len(self.waiting))

  def _text(self, tokens: list[int]) -> str:
    return self.tokenizer.decode(np.asarray(tokens, np.int64))

  def _write(self, n: int) -> None:
    if n:
      self.write(self._text(self.waiting[:n]))
      self.waiting = self.waiting[n:]


def generate(
  workdir: str,
  prompt: str = '',
  tokens: int = 256,
  window: str = 'full',
  seed: int = 0,
  step: int | None = None,
  write=None,
  say=None,
  **sampling,
) -> list[int]:
  """Continues `prompt` by `tokens` tokens, written as they come; returns them.

  Raises:
    ValueError, OSError: as `run.load`, `certificate.windows` and `Sampling`.
  """
  say = say or functools.partial(print, file=sys.stderr)
  write = write or (lambda text: print(text, end='', flush=True))
  draw = Sampling(**sampling)
  if tokens < 1:
    raise ValueError(f'--tokens={tokens}: needs >= 1')
  if not 0 <= seed < 2**32:
    raise ValueError(f'--seed={seed}: needs 0 .. 2^32 - 1')
  r = run.load(workdir, step, say)
  m, params = model_lib.unrolled(r.model, r.params)
  tokenizer = r.text.tokenizer
  ids = [tokenizer.eos, *map(int, tokenizer.encode(prompt))]
  check_length(m, len(ids) + tokens)
  keys = certificate.windows(window, r, len(ids) + tokens, say)
  write(prompt)
  printer, made = Printer(tokenizer, write), []
  start = time.monotonic()
  for token in stream(m, params, ids, keys, draw, seed):
    if not made:  # compiled by now
      start = time.monotonic()
    made.append(token)
    printer(token)
    if len(made) == tokens:
      break
  printer.close()
  write('\n')
  speed = (tokens - 1) / max(time.monotonic() - start, 1e-9)
  say(f'{tokens:,} tokens, {speed:,.0f} tokens/s')
  return made


def main(argv: list[str]) -> None:
  parser = cli.parser(__doc__)
  add = parser.add_argument
  add('--workdir', required=True, metavar='DIR', help='the folder of a run')
  add('--prompt', default='', help='text to continue')
  add('--tokens', type=int, default=256, help='tokens to write')
  add('--window', default='full', help='full | N | certified:ERROR')
  add('--temperature', type=float, default=1.0, help='0 is greedy')
  add('--top_k', type=int, default=0, help='0 is all')
  add('--top_p', type=float, default=1.0)
  add('--seed', type=int, default=0)
  add('--step', type=int, help='of the checkpoint; default: the newest')
  generate(**vars(parser.parse_args(argv)))


if __name__ == '__main__':
  cli.run(main)
