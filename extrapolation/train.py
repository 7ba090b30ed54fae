"""One training run: `python -m extrapolation.train --config=... --workdir=...`.

The same command again resumes a run that was interrupted, to the same bits.
"""

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict, FrozenConfigDict

from extrapolation import (
  cli,
  config,
  data,
  lease,
  memory,
  optim,
  progress,
  protocol,
  run,
)
from extrapolation import model as model_lib
from extrapolation.checkpoint import Checkpoints


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """The section `train` of a config; `config.base` says what each field is."""

  T: int
  B: int
  steps: int
  accumulate: int = 1
  log_every: int = 50
  valid_every: int = 0
  valid_tokens: int = 131_072
  checkpoint_every: int = 1000
  keep: int = 3

  def __post_init__(self):
    for f in dataclasses.fields(self):
      low = 0 if f.name == 'valid_every' else 1
      if getattr(self, f.name) < low:
        raise ValueError(
          f'train.{f.name} = {getattr(self, f.name)}: needs >= {low}'
        )
    if self.B % self.accumulate:
      raise ValueError(
        f'train.accumulate = {self.accumulate} does not divide '
        f'train.B = {self.B}'
      )


class State(NamedTuple):
  """What a step changes; all of it is in a checkpoint."""

  step: jax.Array
  params: dict
  opt: optax.OptState


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
  """The compiled parts of a run; runs that differ by seed alone share one."""

  model: model_lib.Model
  init: Callable  # key -> State
  step: Callable  # (State, batch [B, T + 1], key) -> (State, metrics)
  nll: Callable  # (params, batch [B, T + 1]) -> [B, T] nats


def program(c: ConfigDict, V: int) -> Program:
  """Builds, and so checks, all that the config's model and optimiser need."""
  parts = {k: c[k] for k in ('model', 'optim', 'train')}
  return _program(FrozenConfigDict(parts), V)


@functools.lru_cache(maxsize=8)
def _program(c: FrozenConfigDict, V: int) -> Program:
  c = ConfigDict(c)
  settings = Settings(**config.bind('train', Settings, c.train))
  model = model_lib.make(V, **config.bind('model', model_lib.Config, c.model))
  tx, rate = optim.make(
    settings.steps, **config.bind('optim', optim.make, c.optim)
  )

  def init(key):
    params = model.init(key)
    return State(jnp.zeros((), jnp.int32), params, tx.init(params))

  @jax.value_and_grad
  def loss(params, batch, key):
    key = key if model.config.dropout else None
    return model.mean_nll(params, batch[:, :-1], batch[:, 1:], key=key)

  def accumulated_loss(params, batch, key):
    """Mean loss and gradient over equal parts of the batch, one at a time."""
    n = settings.accumulate
    if n == 1:
      return loss(params, batch, key)

    def add(total, part):
      return jax.tree.map(jnp.add, total, loss(params, *part)), None

    zero = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
    parts = (batch.reshape(n, -1, batch.shape[-1]), jax.random.split(key, n))
    total, _ = jax.lax.scan(add, zero, parts)
    return jax.tree.map(lambda x: x / n, total)

  def step(state, batch, key):
    key = jax.random.fold_in(key, state.step)
    mean, grads = accumulated_loss(state.params, batch, key)
    updates, opt = tx.update(grads, state.opt, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics = dict(
      loss=mean,
      grad_norm=optax.tree.norm(grads),
      param_norm=optax.tree.norm(params),
      lr=rate(state.step),
    )
    return State(state.step + 1, params, opt), metrics

  def nll(params, batch):
    return model.nll(params, batch[:, :-1], batch[:, 1:])

  return Program(
    model, jax.jit(init), jax.jit(step, donate_argnums=0), jax.jit(nll)
  )


def check(c: ConfigDict) -> Settings:
  """Finds all that can be wrong with a config before text is read.

  Raises:
    ValueError: a key, type or value that does not fit; names it.
  """
  config.sections(c)
  program(c, V=2)  # builds the model's shapes and the optimiser, no arrays
  config.bind('data', data.prepare, c.data)
  protocol.Settings(**config.bind('eval', protocol.Settings, c.eval))
  return Settings(**config.bind('train', Settings, c.train))


def train(
  c: ConfigDict, workdir: str, say=print, held: lease.Lease | None = None
) -> dict:
  """Trains, or goes on training, the run of config `c` in `workdir`.

  Returns its last metrics. `held` is the lease on `workdir` of a caller that
  has it; otherwise the folder is claimed here. Everything that can be wrong
  with the config is found before it is made and before anything is computed.

  Raises:
    ValueError: a config that does not fit, or a folder of another one.
    FloatingPointError: loss, gradient or parameters are no longer finite.
    OSError: the folder or a checkpoint cannot be written or read, or another
      process is working in it.
  """
  settings = check(c)
  text = data.prepare(**config.bind('data', data.prepare, c.data))
  tokens = text.tokens('train')
  batches = data.batches(tokens, B=settings.B, T=settings.T, seed=c.seed)
  p = program(c, text.tokenizer.V)

  if settings.valid_every:
    _valid_windows(text, settings)  # long enough?

  with (
    run.claim(workdir, c, held) as mine,
    Checkpoints(workdir, settings.keep) as checkpoints,
  ):
    say(text.summary())
    run.same_text(workdir, text.manifest)
    init_key, dropout_key = jax.random.split(jax.random.key(c.seed))
    like = jax.eval_shape(p.init, init_key)
    found = checkpoints.restore(_items(like), say=say)
    if found is None:
      state, first = p.init(init_key), 0
      run.write_rpe(workdir, 'init', p.model, state.params, settings.T)
    else:
      _, items, meta = found
      first = meta['next_batch']  # batch k is what step k reads
      state = State(jnp.asarray(first, jnp.int32), **items)
      checkpoints.discard_after(first)
      say(f'resuming {workdir} after step {first}')
    size = sum(x.size for x in jax.tree.leaves(like.params))
    say(
      f'{c.model.rpe}: {size:,} parameters, steps {first}..{settings.steps}, '
      f'{settings.B} x {settings.T} tokens a step'
    )
    with contextlib.closing(
      _Loop(c, workdir, settings, checkpoints, first, mine)
    ) as loop:
      state = loop.run(p, state, batches, dropout_key, text)
    run.write_rpe(workdir, 'final', p.model, state.params, settings.T)
  return run.read_metrics(workdir)[-1] if settings.steps > first else {}


class _Loop:
  """The loop itself: metrics one step late, checkpoints, progress."""

  def __init__(self, c, workdir, settings, checkpoints, first, mine):
    self.settings, self.checkpoints, self.first = settings, checkpoints, first
    self.mine = mine
    self.metrics = run.Metrics(workdir, first)
    self.progress = progress.Loop(c.model.rpe, settings.steps, first)
    self.clock, self.timed = time.monotonic(), first
    self.shown = {}  # the newest validation loss

  def run(self, p, state, batches, key, text):
    s, late = self.settings, None
    for n in range(self.first, s.steps):
      self.mine.check()  # or another process may write here by now
      state, metrics = p.step(state, batches[n], key)
      if late:
        self.record(n, late)  # of the step before: never wait for this one
      late = metrics
      done = n + 1
      last = done == s.steps
      if s.valid_every and (done % s.valid_every == 0 or last):
        self.record(done, late, valid_loss=_valid(p, state.params, text, s))
        late = None
      if done % s.checkpoint_every == 0 or last:
        if late:
          self.record(done, late)
        late = None
        self.checkpoints.save(done, _items(state), {'next_batch': done})
    return state

  def record(self, step: int, metrics: dict, **extra: float) -> None:
    s = self.settings
    values = {k: float(v) for k, v in metrics.items()}
    for name, value in values.items():
      if not math.isfinite(value):
        self.checkpoints.wait()
        good = self.checkpoints.steps()
        raise FloatingPointError(
          f'{name} is {value} at step {step}; stopped. Last good checkpoint: '
          + (f'step {good[-1]} in {self.checkpoints.path}' if good else 'none')
          + '. A lower optim.lr, a longer optim.warmup or float32 may help'
        )
    now = time.monotonic()
    speed = (step - self.timed) * s.B * s.T / max(now - self.clock, 1e-9)
    self.shown |= {k: v for k, v in extra.items() if k == 'valid_loss'}
    losses = {'loss': values['loss'], **self.shown}
    text = '  '.join(f'{k} {v:.3f}' for k, v in losses.items())
    text += f'  {speed:,.0f} tokens/s'
    self.progress.update(step, text)
    if step % s.log_every == 0 or step == s.steps or extra:
      self.metrics.write(step, **values, **extra, tokens_per_s=round(speed, 1))
      self.clock, self.timed = now, step

  def close(self):
    self.progress.close()
    self.metrics.close()


def _items(state: State) -> dict:
  return dict(params=state.params, opt=state.opt)


def _valid_windows(text: data.Dataset, s: Settings) -> np.ndarray:
  """The first windows of the validation split, [rows, T + 1]."""
  tokens = text.tokens('valid')
  rows = min(s.valid_tokens, len(tokens) - 1) // s.T
  if rows < 1:
    raise ValueError(
      f'train.T = {s.T} is longer than the validation text of {len(tokens)} '
      f'tokens or train.valid_tokens = {s.valid_tokens}; give more, or '
      'train.valid_every = 0'
    )
  return np.stack([tokens[i * s.T : (i + 1) * s.T + 1] for i in range(rows)])


def _valid(p: Program, params: dict, text: data.Dataset, s: Settings) -> float:
  """Mean nats a token over the first windows of the validation split."""
  windows = _valid_windows(text, s)
  total = 0.0
  for i in range(0, len(windows), s.B):
    part = windows[i : i + s.B].astype(np.int32)
    padded = np.pad(part, ((0, s.B - len(part)), (0, 0)))
    total += float(p.nll(params, padded)[: len(part)].mean(-1).sum())
  return total / len(windows)


def main(argv: list[str]) -> None:
  argv, overrides = cli.split_overrides(argv)
  parser = cli.parser(__doc__)
  parser.add_argument('--config', required=True, metavar='FILE.py[:ARG]')
  parser.add_argument('--workdir', required=True, metavar='DIR')
  args = parser.parse_args(argv)
  memory.keep()
  c = config.load(args.config, overrides)
  train(c, args.workdir)
  print(
    f'done; next: python -m extrapolation.evaluate --workdir={args.workdir}'
  )


if __name__ == '__main__':
  cli.run(main)
