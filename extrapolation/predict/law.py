"""The law: far mass before training, perplexity beyond the training length."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from extrapolation import config
from extrapolation.output import signed
from extrapolation.predict import conformal
from extrapolation.predict.form import FORMS
from extrapolation.predict.reach import Gap

# Misses grow with far mass, and are there without any: a longer window is
# more context. So they are compared per unit of 0.25 + F.
FLOOR = 0.25
FORMAT = 1
NAME = 'law.json'
_PACKAGE = pathlib.Path(__file__).parents[1]
# In an installed package; in a checkout, among its results.
FOLDERS = (_PACKAGE / 'predict', _PACKAGE.parent / 'results' / 'law')


@dataclasses.dataclass(frozen=True)
class LeftOut:
  """The law fitted without one encoding, and how far it missed that one.

  Attributes:
    at: its coefficients.
    score: the largest miss in nats over all runs and lengths of the encoding,
      each per unit of FLOOR + F.
  """

  at: tuple[float, ...]
  score: float


@dataclasses.dataclass(frozen=True)
class Law:
  """ln(ppl_N / ppl_L) = form(F): exactly 0 at F = 0, and rising with F.

  Attributes:
    form: of `FORMS`, by name.
    at: its coefficients, in the units that the form gives them.
    left_out: by encoding, what its interval is made of.
    learned: by encoding whose weights are learned, the score of the law on it
      from initial values.
    seen: what the fit has seen, see `unseen`.
    errors: in nats, with an encoding, a corpus or a size left out.
    gap: of the content, for reach.
    about: when and of which studies it was made, with residuals.
    digest: of all of it.
    path: of the file that it was read from.
  """

  form: str
  at: tuple[float, ...]
  left_out: Mapping[str, LeftOut]
  learned: Mapping[str, float]
  seen: Mapping[str, Any]
  errors: Mapping[str, Any]
  gap: Gap
  about: Mapping[str, Any]
  digest: str = ''
  path: str = ''

  def nats(self, F: float) -> float:
    """ln(ppl_N / ppl_L) at a far mass F."""
    return float(FORMS[self.form](F, self.at))

  def interval(self, F: float, wider: float = 1.0) -> tuple[float, float]:
    """Nats between which a new encoding of far mass F is predicted to lie.

    Args:
      wider: factor of the distance of each end from the prediction.
    """
    middle, form = self.nats(F), FORMS[self.form]
    of = self.left_out.values()
    predicted = np.array([float(form(F, one.at)) for one in of])
    missed = np.array([one.score * scale(F) for one in of])
    low, high = conformal.interval(predicted, missed)
    return (
      middle + wider * (min(low, middle) - middle),
      middle + wider * (max(high, middle) - middle),
    )

  def knows(self, encoding: str, e: config.Experiment) -> bool:
    """Whether it was fitted on this encoding in models and text as these."""
    kind = e.data.source, e.model.N, e.model.D, e.model.H, e.train.T
    return [encoding, *kind] in self.seen['kinds']

  @property
  def level(self) -> float:
    """What the interval promises."""
    return conformal.promised(len(self.left_out))

  @property
  def learned_factor(self) -> float:
    """Of the half-width where weights are learned: the worst recorded miss."""
    worst = max((one.score for one in self.left_out.values()), default=0.0)
    scores = [*self.learned.values()]
    return max(1.0, max(scores) / worst) if scores and worst else 2.0

  def to_dict(self) -> dict[str, Any]:
    """As law.json holds it."""
    body = dataclasses.asdict(self)
    del body['digest'], body['path']
    return dict(format=FORMAT) | body


def scale(F: float) -> float:
  """What a miss at far mass F is compared with."""
  return FLOOR + F


def default() -> str:
  """The law that comes with this package."""
  paths = [folder / NAME for folder in FOLDERS]
  return str(next((p for p in paths if p.is_file()), paths[-1]))


def read(path: str = '') -> Law:
  """The law in a file, or the one that comes with this package.

  Raises:
    ValueError: there is none, or it is not what `write` wrote; in one line.
  """
  path = path or default()
  try:
    body = signed.read(path)
  except OSError as e:
    raise ValueError(
      f'no law in {path} ({e.strerror or e}); fit one with python -m '
      'extrapolation.predict --fit --out=DIR, or give --law=FILE'
    ) from None
  digest = signed.digest(body)
  try:
    if body.pop('format') != FORMAT:
      raise ValueError('it is of another format')
    law = _law(body, digest, path)
    for F in (0.0, 0.5):  # so that no bad number is met later
      if not np.isfinite(law.interval(F)).all():
        raise ValueError(f'its interval at far mass {F} is not finite')
  except (KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
    raise signed.Damaged(
      f'{path} is no law ({" ".join(str(e).split())}): restore it, or fit one '
      'with python -m extrapolation.predict --fit'
    ) from None
  return law


def _law(body: dict[str, Any], digest: str, path: str) -> Law:
  form = FORMS[body['form']]
  left_out = {
    name: LeftOut(_numbers(one['at']), float(one['score']))
    for name, one in body.pop('left_out').items()
  }
  at = _numbers(body.pop('at'))
  gap = Gap(**body.pop('gap'))
  law = Law(**body, at=at, left_out=left_out, gap=gap, digest=digest, path=path)
  for one in (at, *(x.at for x in left_out.values())):
    if len(one) != len(form.names):
      raise ValueError(f'{law.form!r} has {len(form.names)} coefficients')
  return law


def _numbers(values: Sequence[float]) -> tuple[float, ...]:
  out = tuple(map(float, values))
  if any(not 0 <= x < float('inf') for x in out):
    raise ValueError(f'coefficients {out}: needs finite values >= 0')
  return out


def write(path: pathlib.Path, law: Law) -> None:
  """An atomic write, with a digest."""
  signed.write(path, law.to_dict())
