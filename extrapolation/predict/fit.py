"""Fits the law on recorded studies, and chooses its form by what it misses."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from scipy import optimize

from extrapolation.predict import left_out, probe_table, reach
from extrapolation.predict.form import FORMS, Form
from extrapolation.predict.law import Law, LeftOut, scale
from extrapolation.predict.outcome import Outcome
from extrapolation.predict.study import Study

FEWEST = 4  # encodings, below which no law is fitted
NEAR = 1.1  # times the least error: a form of fewer numbers is taken then

At = tuple[float, ...]


def coefficients(form: Form, outcomes: Sequence[Outcome]) -> At:
  """Those of least squares in nats, where every encoding counts alike.

  Raises:
    ValueError: too few encodings for the numbers of the form.
  """
  names = [one.encoding for one in outcomes]
  if len({*names}) < len(form.names):
    raise ValueError(
      f'{len({*names})} encodings do not settle {len(form.names)} numbers'
    )
  F = np.array([one.far_mass for one in outcomes])
  nats = np.array([one.nats for one in outcomes])
  root = np.sqrt([1 / names.count(name) for name in names])

  def misses(at: np.ndarray) -> np.ndarray:
    return root * (form(F, at) - nats)

  done = optimize.least_squares(misses, form.start, bounds=(0, np.inf))
  return tuple(map(float, done.x))


def encodings(studies: Sequence[Study]) -> list[str]:
  """The encodings that a law is fitted on, whose weights are not learned.

  Raises:
    ValueError: too few; says how many it takes.
  """
  every = (one for study in studies for one in study.outcomes)
  out = list(dict.fromkeys(x.encoding for x in every if not x.learned))
  if len(out) < FEWEST:
    there = f' ({", ".join(out)})' * bool(out)
    several = f'{len(studies)} stud{"y" if len(studies) == 1 else "ies"}'
    raise ValueError(
      f'a law takes {FEWEST} encodings or more with a far mass and perplexity '
      f'at the training length and beyond; there are {len(out)}{there} in '
      f'{several}'
    )
  return out


def law(studies: Sequence[Study], folders: Sequence[str] = ()) -> Law:
  """The law of the form that misses least, and what it missed.

  Encodings that learn their weights are judged from initial values and do not
  move the fit.

  Args:
    folders: of the studies, for tables of probes.

  Raises:
    ValueError: as `encodings`.
  """
  every = [one for study in studies for one in study.outcomes]
  fixed = [one for one in every if not one.learned]
  of = encodings(studies)
  compared = [
    _compared(name, form, fixed)
    for name, form in FORMS.items()
    if len(form.names) < len(of)
  ]
  least = min(one['worst'] for one in compared)
  chosen = min(
    (one for one in compared if one['worst'] <= NEAR * least),
    key=lambda one: (len(one['at']), one['worst']),
  )
  form = FORMS[chosen['form']]
  at = tuple(chosen['at'])

  def without(name: str) -> At:
    return coefficients(form, [x for x in fixed if x.encoding != name])

  left = {}
  for name in of:
    one = without(name)
    own = [x for x in fixed if x.encoding == name]
    left[name] = LeftOut(one, _score(form, one, own))
  learned: dict[str, float] = {}
  for x in every:
    if x.learned:
      score = _score(form, at, [x])
      learned[x.encoding] = max(learned.get(x.encoding, 0.0), score)
  asked: dict[str, list[reach.Asked]] = {}
  for folder in folders:
    for name, cells in probe_table.asked(folder).items():
      asked.setdefault(name, []).extend(cells)
  return Law(
    form=chosen['form'],
    at=at,
    left_out=left,
    learned=learned,
    seen=_seen(studies, fixed),
    errors=left_out.errors(fixed, fitted(form)),
    gap=reach.fit(asked),
    about=dict(
      meaning=form.meaning,
      forms=compared,
      studies=[study.about() for study in studies],
      residuals=_residuals(form, at, every),
    ),
  )


def fitted(form: Form) -> Callable:
  """`outcomes -> (F -> nats)`, for what leaves some of them out."""

  def fit(outcomes: Sequence[Outcome]) -> Callable[[float], float]:
    at = coefficients(form, outcomes)
    return lambda F: float(form(F, at))

  return fit


def _compared(name: str, form: Form, fixed: Sequence[Outcome]) -> dict:
  """A form with its errors with one encoding left out."""
  error = left_out.error(fixed, 'encoding', fitted(form))
  at = coefficients(form, fixed)
  return dict(form=name, at=list(at)) | dataclasses.asdict(error)


def _score(form: Form, at: At, own: Sequence[Outcome]) -> float:
  """The largest miss over runs and lengths, per unit of `scale`."""
  return max(
    abs(x.nats - float(form(x.far_mass, at))) / scale(x.far_mass) for x in own
  )


def _seen(studies: Sequence[Study], fixed: Sequence[Outcome]) -> dict:
  """What the fit has seen; beyond it, a prediction extrapolates."""
  of = [study.about() for study in studies if study.outcomes]

  def span(key: str) -> list[int]:
    values = [one[key] for one in of]
    return [min(values), max(values)]

  return dict(
    far_mass=max(one.far_mass for one in fixed),
    ratio=max(one.ratio for one in fixed),
    parameters=span('parameters'),
    train_length=span('train_length'),
    train_tokens=span('train_tokens'),
    corpora=sorted({one['corpus'] for one in of}),
    tokenizers=sorted({one['tokenizer'] for one in of}),
    kinds=[
      [
        name,
        s.e.data.source,
        *(getattr(s.e.model, k) for k in 'NDH'),
        s.e.train.T,
      ]
      for s in studies
      for name in dict.fromkeys(x.encoding for x in s.outcomes if not x.learned)
    ],
    runs=len({(one.study, one.encoding, one.seed) for one in fixed}),
  )


def _residuals(form: Form, at: At, every: Sequence[Outcome]) -> list[dict]:
  """A row per study, encoding and length, medians over seeds."""
  out = []
  for (study, encoding, n), own in left_out.by_curve(every).items():
    measured = float(np.median([x.nats for x in own]))
    predicted = float(form(own[0].far_mass, at))
    row = dict(study=study, encoding=encoding, length=n, seeds=len(own))
    row |= dict(far_mass=own[0].far_mass, learned=own[0].learned)
    row |= dict(measured=measured, predicted=predicted)
    out.append(row | dict(residual=measured - predicted))
  return out
