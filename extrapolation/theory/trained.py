"""The encoding of a trained run, from the `rpe.json` in its folder.

{"name", "H", "hyper", "train_length", "init": {parameter: values}, "final"},
and what `runs.fingerprint` and `runs.identity` take the run for:
parameters in the formula's own units, with a leading axis of layers when every
layer has its own; `final` is absent until training has ended. Beside them, of
clocks and heats, "rates": {"init", "final": per layer and head {"low", "high",
"heat"}}, see `rpe.rates`, and of scores that mix heads, "mixes": {"init",
"final": per layer {parameter: values}}. Of an encoder, "geometry" is its text.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from extrapolation import rpe as rpe_room
from extrapolation.output import signed
from extrapolation.rpe import RPE, fingerprint
from extrapolation.rpe.rates import Rates
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
  for key in ('hyper', 'init', *({'final', 'rates', 'mixes'} & data.keys())):
    if not isinstance(data[key], dict):
      raise ValueError(f'{path}: {key} = {str(data[key])[:40]} is no object')
  return data


def read(folder: str) -> Run:
  """Raises ValueError, in one line, for a folder without a usable rpe.json."""
  data, path = about(folder), pathlib.Path(folder) / 'rpe.json'
  try:
    encodings = fingerprint.recorded(data, folder)
    name = f'{folder}: {data["name"]}'
    first, last = (
      _layers(
        encodings,
        data.get(when) or data['init'],
        _at(data.get('rates', {}), when),
        _at(data.get('mixes', {}), when),
        name,
        path,
      )
      for when in ('init', 'final')
    )
    return Run(first, last, int(data['train_length']))
  except (TypeError, OverflowError, KeyError) as e:
    raise ValueError(f'{path}: {e}') from None


def _at(known: Mapping, when: str) -> Sequence | None:
  """What is known of the end, or else of the beginning."""
  return known.get(when, known.get('init'))


def _layers(
  encodings: Sequence[RPE],
  params: Mapping,
  rates: Sequence[Sequence[Mapping]] | None,
  mixes: Sequence[Mapping] | None,
  name: str,
  path: pathlib.Path,
) -> Subject:
  """The heads of all layers that differ in encoding, clock, heat or score."""
  each = rates or mixes
  if len(encodings) == 1 and not each:
    return _subject(encodings[0], params, name, path)
  P, of, rows = len(encodings), [], []
  for i, encoding in enumerate(encodings):
    own = rpe_room.of_part(params, i) if P > 1 else params
    rows.append(_rows(encoding, own, path))
  last = (i + P * (len(own) - 1) for i, own in enumerate(rows))
  N = len(each) if each else max(last) + 1
  for i in range(N):
    own = rows[i % P]
    values = own[min(i // P, len(own) - 1)]
    known = [Rates(**head) for head in rates[i]] if rates else None
    encoding = encodings[i % P]
    mix = mixes[i] if mixes else None
    of.append(subjects.read(encoding, values, encoding.name, known, mix))
  return subjects.together(of, name)


def _subject(
  rpe: RPE, params: Mapping, name: str, path: pathlib.Path
) -> Subject:
  """The heads of one set of parameters, or of each layer's, in order."""
  of = [subjects.read(rpe, row, name) for row in _rows(rpe, params, path)]
  formulas = [f for layer in of for f in layer.formulas]
  heads = [h for layer in of for h in layer.attended]
  return Subject(name, sum(x.H for x in of), formulas, of[0].not_judged, heads)


def _rows(rpe: RPE, params: Mapping, path: pathlib.Path) -> list[dict]:
  """One set of parameters, or that of each layer."""
  arrays = {k: np.asarray(v, np.float32) for k, v in params.items()}
  shapes = subjects.shapes(rpe)
  if {k: v.shape for k, v in arrays.items()} == shapes:
    return [arrays]
  layers = {v.shape[0] for v in arrays.values() if v.ndim}
  split = {k: v.shape[1:] for k, v in arrays.items()}
  if len(layers) != 1 or split != shapes:
    have = {k: v.shape for k, v in arrays.items()}
    raise ValueError(
      f'{path}: parameters of shapes {have}; {rpe.name} needs {shapes}, or '
      'that with a leading axis of layers'
    )
  return [{k: v[i] for k, v in arrays.items()} for i in range(layers.pop())]
