"""A trained run under another encoding: the same parameters, read otherwise."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import jax

from extrapolation import config, model
from extrapolation.runs.trained import Trained

log = logging.getLogger(__name__)
SHOWN = 4  # parameters that an error names


def scored_as(r: Trained, spec: str) -> Trained:
  """The run with `model.rpe` = spec: other scaling, heat, clock or kernel.

  Hyperparameters that a kernel of the same name was trained with stay, unless
  the spec sets them. Parameters that the other encoding does not read are left
  out.

  Raises:
    ValueError: no such encoding, or one with learned parameters that the run
      does not have.
  """
  e = config.override(r.config, {'model.rpe': spec})
  m = model.make(r.tokenizer.V, e.model)
  want = jax.eval_shape(m.init, jax.random.key(0))
  missing = []
  params = _picked(want, r.params, '', missing)
  if missing:
    names = ', '.join(missing[:SHOWN]) + (', ..' if missing[SHOWN:] else '')
    raise ValueError(
      f'--rpe={spec}: the run was trained as {r.config.model.label} and has '
      f'no parameters {names}; train with --config.model.rpe={spec}, or name '
      'an encoding that learns no more than that'
    )
  log.info('scored as %s, trained as %s', e.model.label, r.config.model.label)
  m = dataclasses.replace(m, step=r.step)
  return dataclasses.replace(r, config=e, model=m, params=params)


def _picked(want: Any, have: Any, path: str, missing: list[str]) -> Any:
  """The part of `have` that `want` has; names what is not there."""
  if isinstance(want, Mapping):
    there = have if isinstance(have, Mapping) else {}
    return {
      k: _picked(v, there.get(k), f'{path}/{k}' if path else str(k), missing)
      for k, v in want.items()
    }
  if getattr(have, 'shape', None) != want.shape:
    missing.append(path)
  return have
