"""What an encoding computes, in a few numbers: is it the one of that run?"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from extrapolation import rpe
from extrapolation.rpe.base import RPE

DISTANCES = (0, 1, 2, 3, 5, 8, 16, 33, 64, 127, 255, 511, 1000, 4096)
# Devices round sums and sines in their own ways; a formula that was edited is
# further off than that at some distance.
CLOSE = dict(rtol=1e-3, atol=1e-3)


def take(encoding: RPE) -> dict[str, Any]:
  """Initial parameters, and the numbers that the encoding makes of them."""
  raw = encoding.unconstrain(encoding.init(jax.random.key(0)))
  params = encoding.constrain(raw)
  listed = {k: np.asarray(v).tolist() for k, v in params.items()}
  return dict(params=listed, values=_values(encoding, listed))


def same(encoding: RPE, taken: Mapping[str, Any]) -> bool:
  """Whether an encoding makes the same numbers of the same parameters."""
  try:
    now = _values(encoding, taken['params'])
    then = taken['values']
    return now.keys() == then.keys() and all(
      np.shape(now[k]) == np.shape(then[k])
      and np.allclose(now[k], then[k], equal_nan=True, **CLOSE)
      for k in now
    )
  except (KeyError, TypeError, ValueError):  # other parameters, other shapes
    return False


def recorded(about: Mapping[str, Any], workdir: str) -> RPE:
  """The encoding that the rpe.json of a run names, if it is still that one.

  Raises:
    ValueError: it is another formula now, or in a file that was not loaded.
  """
  kernel = about['name']
  if rpe.is_file(kernel):
    rpe.find(kernel, workdir)
  encoding = rpe.get(kernel, int(about['H']), **about['hyper'])
  if 'fingerprint' in about and not same(encoding, about['fingerprint']):
    raise ValueError(other(kernel, workdir))
  return encoding


def other(kernel: str, workdir: str) -> str:
  """What is said of a run whose encoding is another formula now."""
  kept = f', its source in {rpe.KEPT}/' if rpe.is_file(kernel) else ''
  return (
    f'{workdir!r} was trained with another formula of {rpe.name_of(kernel)} '
    f'than the one that there is now (its values are in rpe.json{kept}): '
    'restore it, or train with the new one in another --workdir'
  )


def _values(encoding: RPE, params: Mapping[str, Any]) -> dict[str, list]:
  arrays = {k: jnp.asarray(v, jnp.float32) for k, v in params.items()}
  bias = encoding.bias(jnp.asarray(DISTANCES), arrays)
  out = dict(bias=np.asarray(bias, np.float64).tolist())
  at = jnp.asarray((0, 1, 7, 300))
  ramp = jnp.linspace(-1.0, 1.0, 4 * 16)
  if 'rotate' in encoding.beside_bias:
    q = ramp.reshape(1, 4, 1, 16)
    q, k = encoding.rotate(q, q + 1, at)
    out |= dict(q=np.asarray(q).tolist(), k=np.asarray(k).tolist())
  if 'embed' in encoding.beside_bias:
    x = encoding.embed(ramp.reshape(1, 4, 16), at)
    out |= dict(x=np.asarray(x).tolist())
  return out
