"""The runs that a command names: their configs, their probe, where they go."""

import os
import pathlib
from collections.abc import Sequence

from etils import epath

from extrapolation import config, runs
from extrapolation.config.sections import OWN_PROBE
from extrapolation.data.probes import Probe
from extrapolation.runs import probe_table


def configs(folders: Sequence[str]) -> list[config.Experiment]:
  """Those of all runs, each of which has a checkpoint.

  Raises:
    ValueError, OSError: no run, one that is named twice, or one without.
  """
  if not folders:
    raise ValueError('--workdir is empty: give the folder of a run')
  names = [os.path.realpath(f) for f in folders]
  if twice := {n for n in names if names.count(n) > 1}:
    raise ValueError(f'--workdir names {min(twice)!r} twice')
  experiments = [runs.load_config(f) for f in folders]
  for folder in folders:
    runs.newest(folder)
  return experiments


def same_probe(
  folders: Sequence[str], experiments: Sequence[config.Experiment], spec: str
) -> Probe:
  """The probe of all runs; raises ValueError if there is none, or several."""
  probes = []
  for folder, e in zip(folders, experiments, strict=True):
    try:
      probes.append(probe_table.probe_of(e, spec))
    except ValueError as error:
      raise ValueError(
        f'{folder}: {error}' + (': --probe=NAME' if spec == OWN_PROBE else '')
      ) from None
  for folder, probe in zip(folders, probes, strict=True):
    if probe.label != probes[0].label:
      raise ValueError(
        f'runs of different probes are not compared: {folders[0]} is of '
        f'{probes[0].label}, {folder} of {probe.label}; give --probe=NAME'
      )
  return probes[0]


def tables(
  folders: Sequence[str],
  probe: Probe,
  out: str,
  encodings: Sequence[str],
  window: str,
) -> list[pathlib.Path | epath.Path]:
  """Where the cells of each run go: in its own folder, or of one in --out."""
  out = out if len(folders) == 1 else ''
  return [
    probe_table.path(folder, probe, out, encoding, window)
    for folder, encoding in zip(folders, encodings, strict=True)
  ]


def comparison(folders: Sequence[str], out: str) -> pathlib.Path:
  """Where a comparison goes: --out, or the folder that holds all runs."""
  parents = {os.path.dirname(os.path.abspath(f)) for f in folders}
  if not out and len(parents) > 1:
    raise ValueError(
      'runs of several folders are compared: give --out=DIR, where the '
      'comparison goes'
    )
  return pathlib.Path(out or parents.pop())
