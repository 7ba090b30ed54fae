"""One training run: `python -m extrapolation.train --config=... --workdir=...`.

The same command again resumes a run that was interrupted, to the same bits.
"""

import contextlib
import math
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from extrapolation import (
  cli,
  config,
  data,
  lease,
  memory,
  multihost,
  preemption,
  progress,
  protocol,
  run,
)
from extrapolation.checkpoint import Checkpoints
from extrapolation.program import Program, Settings, State, program


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
  Of several processes all call it alike, and the first one writes.

  Raises:
    ValueError: a config that does not fit, or a folder of another one.
    FloatingPointError: loss, gradient or parameters are no longer finite.
    OSError: the folder or a checkpoint cannot be written or read, or another
      process is working in it.
    Preempted: a SystemExit, after a notice and a save.
  """
  if jax.process_index():
    say = _silent
  settings = check(c)
  multihost.first(lambda: _text(c))  # prepared once, where hosts share a cache
  text = multihost.every(lambda: _text(c))
  multihost.same('text', text.manifest['splits']['train']['tokens_sha256'])
  p = program(c, text.tokenizer.V)
  index, count = p.layout.slice(settings.B)
  batches = text.batches(
    B=settings.B,
    T=settings.T,
    seed=c.seed,
    process_index=index,
    process_count=count,
  )
  if settings.valid_every:
    _valid_windows(text, settings)  # long enough?

  with contextlib.ExitStack() as stack:
    mine = multihost.first(lambda: run.claim(workdir, c, held))
    mine = stack.enter_context(mine) if mine else None
    multihost.shared(workdir)
    checkpoints = stack.enter_context(
      Checkpoints(workdir, settings.keep, settings.keep_every)
    )
    notice = stack.enter_context(preemption.Preemption())
    say(text.summary(settings.T))
    multihost.first(lambda: run.same_text(workdir, text.manifest))
    init_key, dropout_key = jax.random.split(jax.random.key(c.seed))
    found = checkpoints.restore(_items(p.like), say=say)
    if found is None:
      state, first = p.init(init_key), 0
      _write_rpe(workdir, 'init', p, state, settings)
    else:
      _, items, meta = found
      first = meta['next_batch']  # batch k is what step k reads
      state = State(jnp.asarray(first, jnp.int32), **items)
      checkpoints.discard_after(first)
      say(f'resuming {workdir} after step {first}')
    size = sum(x.size for x in jax.tree.leaves(p.like.params))
    say(
      f'{c.model.rpe}: {size:,} parameters, steps {first}..{settings.steps}, '
      f'{settings.B} x {settings.T} tokens a step, {p.layout}'
    )
    with contextlib.closing(
      _Loop(c, workdir, settings, checkpoints, notice, first, mine)
    ) as loop:
      state = loop.run(p, state, batches, dropout_key, text)
    _write_rpe(workdir, 'final', p, state, settings)
  return run.read_metrics(workdir)[-1] if settings.steps > first else {}


def _text(c: ConfigDict) -> data.Dataset:
  return data.prepare(**config.bind('data', data.prepare, c.data))


def _silent(text: str) -> None:
  """What all processes would say, one says."""


def _write_rpe(workdir, when, p, state, settings):
  values = p.rpe(state.params)
  multihost.first(
    lambda: run.write_rpe(workdir, when, p.model.config, values, settings.T)
  )


class _Loop:
  """The loop itself: metrics one step late, checkpoints, progress."""

  def __init__(self, c, workdir, settings, checkpoints, notice, first, mine):
    self.settings, self.checkpoints, self.first = settings, checkpoints, first
    self.config, self.workdir, self.notice = c.to_dict(), workdir, notice
    self.mine = mine  # the lease of the process that writes
    self.metrics = multihost.first(lambda: run.Metrics(workdir, first))
    if self.metrics:
      self.progress = progress.Loop(c.model.rpe, settings.steps, first)
    self.clock, self.timed = time.monotonic(), first
    self.shown, self.row = {}, {}  # the newest validation loss and metrics

  def run(self, p, state, batches, key, text):
    s, late = self.settings, None
    for n in range(self.first, s.steps):
      if self.mine:
        self.mine.check()  # or another process may write here by now
      state, metrics = p.step(state, p.layout.put(batches[n], s.B), key)
      if late:
        self.record(n, late)  # of the step before: never wait for this one
      late = metrics
      done = n + 1
      last = done == s.steps
      stop = self.notice.due() and not last
      if s.valid_every and (done % s.valid_every == 0 or last):
        self.record(done, late, valid_loss=_valid(p, state.params, text, s))
        late = None
      if done % s.checkpoint_every == 0 or last or stop:
        if late:
          self.record(done, late)
        late = None
        self.save(done, state)
      if stop:
        self.checkpoints.wait()
        raise preemption.Preempted(
          f'stopped by notice after step {done} and saved; the same command '
          'goes on from there'
        )
    return state

  def save(self, step: int, state: State) -> None:
    if self.metrics:
      self.metrics.flush()
    meta = dict(next_batch=step, config=self.config, metrics=self.row)
    self.checkpoints.save(step, _items(state), meta)

  def record(self, step: int, metrics: dict, **extra: float) -> None:
    s = self.settings
    values = {k: float(v) for k, v in metrics.items()}
    for name, value in values.items():
      if not math.isfinite(value):
        self.checkpoints.wait()
        raise FloatingPointError(
          f'{name} is {value} at step {step}; stopped. Last good checkpoint: '
          f'{self.checkpoints.last()} in {self.checkpoints.path}'
          '. A lower optim.lr, a longer optim.warmup or float32 may help'
        )
    self.checkpoints.check()
    self.row = dict(step=step, **values, **extra)
    now = time.monotonic()
    speed = (step - self.timed) * s.B * s.T / max(now - self.clock, 1e-9)
    log = step % s.log_every == 0 or step == s.steps or extra
    if self.metrics:
      self.shown |= extra
      losses = {'loss': values['loss'], **self.shown}
      text = '  '.join(f'{k} {v:.3f}' for k, v in losses.items())
      self.progress.update(step, f'{text}  {speed:,.0f} tokens/s')
      if log:
        self.write(**self.row, tokens_per_s=round(speed, 1))
    if log:
      self.clock, self.timed = now, step

  def write(self, **row) -> None:
    try:
      self.metrics.write(**row)
    except OSError as e:
      raise OSError(
        f'cannot write metrics in {self.workdir!r}: {e.strerror}; last good '
        f'checkpoint: {self.checkpoints.last()}'
      ) from None

  def close(self):
    if self.metrics:
      self.progress.close()
      with contextlib.suppress(OSError):  # said before
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
  sums = np.zeros(2)
  for i in range(0, len(windows), s.B):
    part = windows[i : i + s.B].astype(np.int32)
    padded = np.pad(part, ((0, s.B - len(part)), (0, 0)))
    weights = np.zeros((s.B, s.T), np.float32)
    weights[: len(part)] = 1
    batch = p.layout.put((padded, weights), s.B)
    sums += [float(x) for x in p.valid(params, batch)]
  return sums[0] / sums[1]


def main(argv: list[str]) -> None:
  preemption.leave_at_once()
  argv, overrides = cli.split_overrides(argv)
  parser = cli.parser(__doc__)
  parser.add_argument('--config', required=True, metavar='FILE.py[:ARG]')
  parser.add_argument('--workdir', required=True, metavar='DIR')
  multihost.add_flags(parser)
  args = parser.parse_args(argv)
  memory.keep()
  processes = multihost.pop_flags(args)
  c = config.load(args.config, overrides)
  about = dict(config=c.to_dict(), workdir=args.workdir)
  with multihost.group(processes, **about):
    try:
      train(c, args.workdir)
    except preemption.Preempted as e:
      print(e, file=sys.stderr)
      raise
    if jax.process_index() == 0:
      print(
        f'done; next: python -m extrapolation.evaluate --workdir={args.workdir}'
      )


if __name__ == '__main__':
  cli.run(main)
