"""Runs as folders: config, metrics, checkpoints, leases, sweeps.

What is named here is imported when it is first used: a launch script that
lists runs does not wait for Flax and Orbax.
"""

from etils import epy

with epy.lazy_api_imports(globals()):
  from extrapolation.runs.environment import provenance
  from extrapolation.runs.identity import run_id
  from extrapolation.runs.metrics import Metrics, read_metrics
  from extrapolation.runs.other_encoding import scored_as
  from extrapolation.runs.run_folder import (
    claim,
    load_config,
    same_config,
    same_encoding,
    same_text,
    write_rpe,
    write_tokenizer,
  )
  from extrapolation.runs.trained import Trained, load, newest

__all__ = [
  'Metrics',
  'Trained',
  'claim',
  'load',
  'load_config',
  'newest',
  'provenance',
  'read_metrics',
  'run_id',
  'same_config',
  'same_encoding',
  'same_text',
  'scored_as',
  'write_rpe',
  'write_tokenizer',
]
