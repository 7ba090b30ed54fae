"""A run measured, a decoder or an encoder, beside what theory says of it."""

import logging

import numpy as np

from extrapolation import config, data, runs
from extrapolation.receptive_field import (
  measure,
  places,
  predicted,
  record,
  window_check,
)
from extrapolation.receptive_field.estimators.settings import Settings, starts
from extrapolation.theory import NotJudged

log = logging.getLogger(__name__)


def study(
  workdir: str, settings: Settings, step: int | None = None
) -> record.Study:
  """Everything measured of a run.

  Raises:
    ValueError, OSError: as `runs.load`; settings that do not fit its text, or
      its task.
  """
  run = runs.load(workdir, step)
  of = _of_text if run.config.model.kind == 'decoder' else _of_places
  return of(workdir, run, settings)


def _origin(run: runs.Trained, settings: Settings, train: int) -> dict:
  return dict(
    rpe=run.config.model.label,
    seed=run.config.seed,
    train_length=train,
    length=settings.length,
    split=settings.split,
    step=run.step,
  )


def _of_text(
  workdir: str, run: runs.Trained, settings: Settings
) -> record.Study:
  train, tokens = run.config.train.T, run.text().tokens(settings.split)
  documents = None  # training reads across them
  if run.config.data.within:
    documents = np.asarray(run.text().offsets(settings.split))
  starts(len(tokens), settings.length, settings.tokens, documents)
  model, params = measure.plain(run.model, run.params)
  heads = bias = None
  try:
    heads = predicted.heads(model, params, settings, train)
    bias = np.asarray(model.bias(params, settings.length), np.float64)
  except NotJudged as e:
    log.info('%s: %s; measured fields only', workdir, e)
  measured = measure.measure(
    model, params, tokens, settings, workdir, documents
  )
  widths = window_check.widths(settings.length, train)
  checked = window_check.check(model, params, measured.first, widths)
  theory = None
  if heads is not None and bias is not None:
    theory = predicted.of_line(heads, bias, settings, train, measured.osc)
  return record.make(
    _origin(run, settings, train),
    settings,
    measured.sums,
    measured.M,
    theory,
    windows=checked,
    costs=measured.costs,
  )


def _of_places(
  workdir: str, run: runs.Trained, settings: Settings
) -> record.Study:
  e, text = run.config, run.text()
  assert isinstance(text, data.Drawn)
  train = places.distances(e.model, e.train.size)
  model, params = measure.plain(run.model, run.params)
  heads = None
  try:
    heads = predicted.heads(model, params, settings, train)
  except NotJudged as error:
    log.info('%s: %s; measured fields only', workdir, error)
  measured = places.measure(model, params, text, e, settings, workdir)
  theory = None
  if heads is not None:
    mass = measured.sums.mean('bias')
    theory = predicted.of_space(heads, mass, settings, train)
  origin = _origin(run, settings, train) | dict(
    size=settings.size,
    train_size=e.train.size,
    geometry=config.geometry_of(e.model).label,
    targets=measured.targets,
  )
  return record.make(
    origin,
    settings,
    measured.sums,
    measured.M,
    theory,
    costs=measured.costs,
  )
