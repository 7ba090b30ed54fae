"""What is predicted of each encoding of a config, before training."""

import dataclasses
import math
from collections.abc import Sequence

from extrapolation import config
from extrapolation.data import BY_DOCUMENT, probes
from extrapolation.predict import reach, unseen, weights
from extrapolation.predict.law import Law
from extrapolation.runs import identity, sweep_grid

FULL, WINDOWS = 'full', 'nonoverlap'  # how the law's studies were evaluated


@dataclasses.dataclass(frozen=True)
class AtLength:
  """What is predicted at one length N beyond the training length L.

  Attributes:
    length: N in tokens.
    far_mass: share of the weights at or beyond L, in [0, 1), mean over heads
      and positions.
    ratio: ppl_N / ppl_L, with the ends of its interval; None of answers to a
      probe, whose perplexity is no text's.
    reach: distance in tokens at which a needle still holds half of attention,
      0 for none, with the ends of its interval.
  """

  length: int
  far_mass: float
  ratio: float | None
  ratio_low: float | None
  ratio_high: float | None
  reach: int
  reach_low: int
  reach_high: int

  @property
  def ratios(self) -> tuple[float, float, float]:
    """The ratio and the ends of its interval, where there is one."""
    ratio, low, high = self.ratio, self.ratio_low, self.ratio_high
    assert ratio is not None and low is not None and high is not None
    return ratio, low, high


@dataclasses.dataclass(frozen=True)
class Predicted:
  """An encoding, or one setting of it in a grid.

  Attributes:
    encoding: as tables of the sweep name it.
    run: the id of its run with the first seed.
    train_length: L in tokens.
    lengths: none where there is no number at all.
    why: there is no number; '' where there is.
    order: 'tight' or 'not tight', all that is known without a number.
    wider: by reason, what is added to an interval, in half-widths.
    fitted: whether the law was fitted on such runs, of equal text and size.
  """

  encoding: str
  run: str
  train_length: int
  lengths: Sequence[AtLength] = ()
  why: str = ''
  order: str = ''
  wider: dict[str, float] = dataclasses.field(default_factory=dict)
  fitted: bool = False

  @property
  def has_ratio(self) -> bool:
    """Whether ratios of perplexity are predicted."""
    return any(at.ratio is not None for at in self.lengths)


def check(e: config.Experiment) -> None:
  """Raises ValueError for an evaluation that no law was fitted on."""
  if e.model.kind != 'decoder':
    raise ValueError(
      f'no prediction for model.kind = {e.model.kind}: the law is of texts '
      'that a decoder reads; what is known of an encoding in a space, theory '
      'says: python -m extrapolation.theory --geometry=..'
    )
  if e.eval.protocol != WINDOWS or e.eval.window != FULL:
    raise ValueError(
      f'no prediction for eval.protocol = {e.eval.protocol}, eval.window = '
      f'{e.eval.window}: the law is of {WINDOWS} windows and all keys; set '
      f'--config.eval.protocol={WINDOWS} --config.eval.window={FULL}'
    )
  if e.data.windows in BY_DOCUMENT:
    raise ValueError(
      f'no prediction for data.windows = {e.data.windows}: the law is of '
      'windows of one stream; set --config.data.windows=contiguous'
    )
  if all(n <= e.train.T for n in e.eval.lengths):
    raise ValueError(
      f'no prediction: no length of eval.lengths = {e.eval.lengths} is beyond '
      f'train.T = {e.train.T}; add one to --config.eval.lengths'
    )


def experiments(e: config.Experiment) -> dict[str, config.Experiment]:
  """The runs of a sweep by label, each with its first seed."""
  out: dict[str, config.Experiment] = {}
  for _, one in sweep_grid.experiments(e):
    out.setdefault(sweep_grid.label(one), one)
  return out


def of(e: config.Experiment, law: Law) -> list[Predicted]:
  """What is predicted of every encoding of a sweep, in its order.

  Raises:
    ValueError: as `check`, for any of its runs.
  """
  todo = experiments(e)
  for one in todo.values():
    check(one)
  return [_encoding(label, one, law) for label, one in todo.items()]


def _encoding(label: str, e: config.Experiment, law: Law) -> Predicted:
  m, L = e.model, e.train.T
  lengths = sorted({n for n in e.eval.lengths if n > L})
  known = weights.read(m.rpe, m.rpe_args, m.H, m.N, max(lengths))
  run = identity.run_id(e)
  if known.why:
    return Predicted(label, run, L, why=known.why, order=known.order)
  wider = unseen.model(law.seen, e)
  wider |= unseen.weights(known, law.learned_factor)
  asks = e.data.source.startswith(probes.PREFIX)
  at, reasons = [], dict(wider)
  for n in lengths:
    F = known.far_mass(n, L)
    beyond = unseen.length(law.seen, n / L, F)
    reasons |= beyond
    factor = 1.0 + sum((wider | beyond).values())
    nats = law.nats(F), *law.interval(F, factor)
    ratio, low, high = (None if asks else _ratio(x) for x in nats)
    far = reach.at(known, n, L, law.gap)
    at.append(AtLength(n, F, ratio, low, high, *far))
  fitted = law.knows(label, e)
  return Predicted(label, run, L, at, wider=reasons, fitted=fitted)


def _ratio(nats: float) -> float:
  """exp, which is 1 at 0 nats exactly."""
  return math.exp(min(nats, 700.0))
