"""Where JAX was asked to compute, and cannot."""

import os
import traceback


def missing(error: Exception) -> str:
  """What to tell of an error if it says that a platform is not there; or ''.

  JAX raises a RuntimeError where it knows a platform, such as `tpu`, and finds
  no device, and fails an assertion where it has no plugin for it.
  """
  wanted = os.environ.get('JAX_PLATFORMS', '')
  frames = traceback.extract_tb(error.__traceback__)
  in_jax = bool(frames) and frames[-1].filename.endswith('xla_bridge.py')
  said = str(error).splitlines()[0] if str(error) else ''
  named = 'Unable to initialize backend' in said
  if not wanted or not (
    named or (in_jax and isinstance(error, AssertionError))
  ):
    return ''
  why = said.partition(': ')[2].partition(' (set ')[0]
  return (
    f'JAX_PLATFORMS={wanted}: no such device is found here'
    + (f' ({why})' if why else '')
    + '; unset it to take what there is, or set JAX_PLATFORMS=cpu'
  )
