"""Encodings that a sweep of `all` does without, each with its reason."""

import functools
import logging

from extrapolation import config, rpe
from extrapolation.config import spaces
from extrapolation.rpe import check

log = logging.getLogger(__name__)


def broken(e: config.Experiment) -> dict[str, str]:
  """Those that are wrong, of a sweep of `all`; otherwise none."""
  if e.sweep.rpe != 'all':
    return {}
  return _broken(e.model.H, e.train.T)


@functools.cache
def _broken(H: int, T: int) -> dict[str, str]:
  faults = check.usable(H, T)[1]
  for why in faults.values():
    log.warning('left out: %s', why)
  return faults


def unfit(e: config.Experiment) -> dict[str, str]:
  """Those that the space of `e.model` cannot have; none of a decoder."""
  return _unfit(e.model.network)


@functools.cache
def _unfit(c: config.Network) -> dict[str, str]:
  faults = {}
  for name in rpe.names():
    try:
      encoding = rpe.get(name, c.H)
    except ValueError:
      continue  # it is broken
    try:
      spaces.check_encodings(c, [encoding], c.D // c.H)
    except ValueError as error:
      faults[name] = str(error)
      log.info('left out: %s', error)
  return faults
