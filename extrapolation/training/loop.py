"""The training loop: metrics one step late, checkpoints, progress."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from extrapolation import config, data, runs
from extrapolation.output import progress
from extrapolation.parallel import multihost, preemption
from extrapolation.runs import identity, leases
from extrapolation.runs.checkpoint import Checkpoints
from extrapolation.training.train_step import State, TrainStep

if TYPE_CHECKING:
  import grain  # it takes a while, and data imports it when it is needed


class Loop:
  """One run of the loop, from the step it begins with."""

  def __init__(
    self,
    e: config.Experiment,
    workdir: str,
    checkpoints: Checkpoints,
    notice: preemption.Preemption,
    first: int,
    lease: leases.Lease | None,
  ):
    self.experiment, self.workdir, self.first = e, workdir, first
    self.checkpoints, self.notice = checkpoints, notice
    self.lease = lease  # of the process that writes
    self.metrics = multihost.first(lambda: runs.Metrics(workdir, first))
    if self.metrics:
      self.progress = progress.Loop(e.model.label, e.train.steps, first)
    self.clock, self.timed = time.monotonic(), first
    self.identity: dict[str, Any] = {}  # of the run, for its checkpoints
    self.shown: dict[str, float] = {}  # the newest validation loss
    self.row: dict[str, float] = {}  # the newest metrics

  def run(
    self,
    p: TrainStep,
    state: State,
    batches: 'grain.MapDataset',
    key: PRNGKeyArray,
    text: data.Dataset,
  ) -> State:
    """The state after the last step; a SystemExit if a notice comes before."""
    s, late = self.experiment.train, None
    bias = p.bias_table(state.params)
    e = self.experiment
    self.identity = identity.of(e, text.manifest, text.tokenizer)
    for n in range(self.first, s.steps):
      if self.lease:
        self.lease.check()  # or another process may write here by now
      state, metrics = p.step(
        state, p.layout.global_from_local(batches[n], s.B), key, bias
      )
      if late:
        self.record(n, late)  # of the step before: never wait for this one
      late = metrics
      done = n + 1
      last = done == s.steps
      stop = self.notice.due() and not last
      if s.valid_every and (done % s.valid_every == 0 or last):
        self.record(
          done, late,
          valid_loss=validate(p, state.params, text, s, bias, done),
          **accuracy(p, state.params, text, s, bias, done),
        )  # fmt: skip
        late = None
      if done % s.checkpoint_every == 0 or last or stop:
        if late:
          self.record(done, late)
        late = None
        self.save(done, state)
      if stop:
        self.checkpoints.wait()
        raise self.notice.stopped(
          f'stopped by notice after step {done} and saved; the same command '
          'goes on from there'
        )
    return state

  def save(self, step: int, state: State) -> None:
    if self.metrics:
      with self._named():
        self.metrics.flush()
    meta = dict(next_batch=step, metrics=self.row, **self.identity)
    self.checkpoints.save(step, items(state), meta)

  def record(self, step: int, metrics: dict, **extra: float) -> None:
    s = self.experiment.train
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
      self.clock, self.timed = now, step

  def write(self, **row: Any) -> None:
    if not self.metrics:  # of process 0 alone
      return
    with self._named():
      self.metrics.write(**row)

  @contextlib.contextmanager
  def _named(self) -> Iterator[None]:
    try:
      yield
    except OSError as e:
      raise OSError(
        f'cannot write metrics in {self.workdir!r}: {e.strerror}; last good '
        f'checkpoint: {self.checkpoints.last()}'
      ) from None

  def close(self) -> None:
    if self.metrics:
      self.progress.close()
      with contextlib.suppress(OSError):  # said before
        self.metrics.close()


def items(state: State) -> dict[str, Any]:
  """What a checkpoint holds of a state; its step is that of the folder."""
  return dict(params=state.params, opt=state.opt)


def valid_windows(text: data.Dataset, s: config.Train) -> tuple[Any, ...]:
  """Tokens [rows, T + 1], weights [rows, T], and documents where they count.

  The beginning of the validation split, read as the training text is: where
  that stays within documents, so do these, and have every target once.
  """
  read = text.beginning('valid', s.T, s.valid_tokens)
  if isinstance(read, tuple):
    return read
  if not len(read):
    raise ValueError(
      f'train.T = {s.T} is longer than the validation text of '
      f'{len(text.tokens("valid"))} tokens or train.valid_tokens = '
      f'{s.valid_tokens}; give more, or train.valid_every = 0'
    )
  return read, np.ones((len(read), s.T), np.float32)


def validate(
  p: TrainStep,
  params: dict,
  text: data.Dataset,
  s: config.Train,
  bias: Array | None,
  step: int = 0,
) -> float:
  """Mean nats per token over the first windows of the validation split."""
  sums = _sums(p, p.eval_step, params, valid_windows(text, s), s, bias, step)
  return sums[0] / sums[1]


def accuracy(
  p: TrainStep,
  params: dict,
  text: data.Dataset,
  s: config.Train,
  bias: Array | None,
  step: int = 0,
) -> dict[str, float]:
  """Share of right answers to validation examples of each probe there is.

  Named by probe where there are several. Of a task, of its scored targets.
  """
  if isinstance(text, data.Drawn):
    windows = valid_windows(text, s)
    sums = _sums(p, p.answer_step, params, windows, s, bias, step)
    return dict(valid_accuracy=sums[2] / sums[1])
  out, numbers = {}, range(max(s.valid_tokens // s.T, 1))
  for i, one in enumerate(text.examples):
    batch = one.read(numbers, s.T, stream='valid').batch
    sums = _sums(p, p.answer_step, params, batch, s, bias, step)
    several = f'_{i}_{one.probe.name}' if len(text.examples) > 1 else ''
    out[f'valid_accuracy{several}'] = sums[2] / sums[1]
  return out


def _sums(
  p: TrainStep,
  sums_of: Callable,
  params: dict,
  windows: tuple[np.ndarray, ...],
  s: config.Train,
  bias: Array | None,
  step: int,
) -> np.ndarray:
  """The sums of all windows, in batches of B."""
  sums: Any = 0.0
  for i in range(0, len(windows[0]), s.B):

    def rows(x: np.ndarray, i: int = i) -> np.ndarray:
      part = x[i : i + s.B]
      part = part.astype(np.int32) if part.dtype.kind in 'iu' else part
      return np.pad(part, ((0, s.B - len(part)), (0, 0)))  # of weight 0

    batch: Any = jax.tree.map(rows, windows)
    batch = p.layout.global_from_local(batch, s.B)
    of_batch = [float(x) for x in sums_of(params, batch, bias, step)]
    sums = sums + np.array(of_batch)
  return sums
