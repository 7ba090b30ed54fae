"""The encoding of a trained run, from the `rpe.json` in its folder.

{"name", "H", "hyper", "train_length", "init": {parameter: values}, "final"},
and what `runs.fingerprint` and `runs.identity` take the run for:
parameters in the formula's own units, with a leading axis of layers when every
layer has its own; `final` is absent until training has ended.
"""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from extrapolation import rpe as encodings
from extrapolation.output import signed
from extrapolation.rpe import fingerprint
from extrapolation.theory import subjects
from extrapolation.theory.subjects import Subject

NEEDED = ('name', 'H', 'hyper', 'train_length', 'init')


class Run(NamedTuple):
  """The encoding before and after training; length in tokens."""

  before: Subject
  after: Subject
  train_length: int


def about(folder: str) -> dict:
  """The rpe.json of a run.

  Raises:
    ValueError: in one line, for a folder without a usable one.
  """
  path = pathlib.Path(folder) / 'rpe.json'
  try:
    data = signed.read(path)
  except FileNotFoundError:
    raise ValueError(
      f'{folder} holds no rpe.json; training writes it into its run folder'
    ) from None
  except OSError as e:
    raise ValueError(f'cannot read {path}: {e}') from None
  if missing := [k for k in NEEDED if k not in data]:
    raise ValueError(f'{path} lacks {", ".join(missing)}')
  for key in ('hyper', 'init', *(['final'] if 'final' in data else [])):
    if not isinstance(data[key], dict):
      raise ValueError(f'{path}: {key} = {str(data[key])[:40]} is no object')
  return data


def read(folder: str) -> Run:
  """Raises ValueError, in one line, for a folder without a usable rpe.json."""
  data, path = about(folder), pathlib.Path(folder) / 'rpe.json'
  try:
    rpe = fingerprint.recorded(data, folder)
    name = f'{folder}: {data["name"]}'
    first, last = (
      _subject(rpe, params, name, path)
      for params in (data['init'], data.get('final') or data['init'])
    )
    return Run(first, last, int(data['train_length']))
  except (TypeError, OverflowError) as e:
    raise ValueError(f'{path}: {e}') from None


def _subject(
  rpe: encodings.RPE, params: Mapping, name: str, path: pathlib.Path
) -> Subject:
  """The heads of one set of parameters, or of each layer's, in order."""
  arrays = {k: np.asarray(v, np.float32) for k, v in params.items()}
  shapes = subjects.shapes(rpe)
  if {k: v.shape for k, v in arrays.items()} == shapes:
    return subjects.read(rpe, arrays, name)
  layers = {v.shape[0] for v in arrays.values() if v.ndim}
  split = {k: v.shape[1:] for k, v in arrays.items()}
  if len(layers) != 1 or split != shapes:
    have = {k: v.shape for k, v in arrays.items()}
    raise ValueError(
      f'{path}: parameters of shapes {have}; {rpe.name} needs {shapes}, or '
      'that with a leading axis of layers'
    )
  of = [
    subjects.read(rpe, {k: v[i] for k, v in arrays.items()}, name)
    for i in range(layers.pop())
  ]
  formulas = [f for layer in of for f in layer.formulas]
  return Subject(name, sum(x.H for x in of), formulas, of[0].not_judged)
