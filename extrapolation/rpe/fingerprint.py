"""What an encoding computes, in a few numbers: is it the one of that run?"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from extrapolation import rpe
from extrapolation.parts.check import D, probe
from extrapolation.parts.score import Score, Tile
from extrapolation.rpe.base import RPE

DISTANCES = (0, 1, 2, 3, 5, 8, 16, 33, 64, 127, 255, 511, 1000, 4096)
# Devices round sums and sines in their own ways; a formula that was edited is
# further off than that at some distance.
CLOSE = dict(rtol=1e-3, atol=1e-3)


def take(encodings: Sequence[RPE]) -> dict[str, Any]:
  """Initial parameters, and the numbers that encodings make of them.

  Those of several, which layers take turns in, are a list of these.
  """
  each = [_take(e) for e in encodings]
  return each[0] if len(each) == 1 else dict(layers=each)


def _take(encoding: RPE) -> dict[str, Any]:
  raw = encoding.unconstrain(encoding.init(jax.random.key(0)))
  params = encoding.constrain(raw)
  listed = {k: np.asarray(v).tolist() for k, v in params.items()}
  return dict(params=listed, values=_values(encoding, listed))


def same(encodings: Sequence[RPE], taken: Mapping[str, Any]) -> bool:
  """Whether encodings make the same numbers of the same parameters."""
  each = taken.get('layers', [taken])
  return len(each) == len(encodings) and all(map(_same, encodings, each))


def _same(encoding: RPE, taken: Mapping[str, Any]) -> bool:
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


def recorded(about: Mapping[str, Any], workdir: str) -> tuple[RPE, ...]:
  """The encodings that the rpe.json of a run names, if they are still those.

  One, or those that layers take turns in.

  Raises:
    ValueError: it is another formula now, or in a file that was not loaded.
  """
  kernel = about['name']
  if rpe.is_file(kernel):
    rpe.find(kernel, workdir)
  encodings = rpe.layers(kernel, int(about['H']), **about['hyper'])
  if 'fingerprint' in about and not same(encodings, about['fingerprint']):
    raise ValueError(other(kernel, workdir))
  return encodings


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
  clock, heat = encoding.clock, encoding.heat
  if not clock.is_index:
    out |= dict(increments=_of_content(clock.increments, clock.init))
  if not heat.is_one:
    out |= dict(scale=_of_content(heat.scale, heat.init))
  if not encoding.score.is_plain:
    out |= _of_tile(encoding.score, len(bias))
  return out


def _of_content(f: Callable, init: Callable) -> list:
  """A clock or a heat of random content, with its initial parameters."""
  return np.asarray(f(probe(), init(jax.random.key(1), D))).tolist()


def _of_tile(score: Score, H: int) -> dict[str, list]:
  """A score of random queries and keys, with its initial parameters, moved."""
  r, s, K = 3, 5, 4
  keys = iter(jax.random.split(jax.random.key(2), 99))
  i, j = 2 + 3 * jnp.arange(r)[:, None], jnp.arange(s)
  tile = Tile(
    z=jax.random.normal(next(keys), (H, r, s)),
    q=jax.random.normal(next(keys), (H, r, K)),
    bias=-jax.random.uniform(next(keys), (H, r, s)),
    distance=jnp.maximum(i - j, 0)[None].astype(jnp.float32),
    position=i[None].astype(jnp.float32),
    between=jnp.maximum(i - j, 0)[None].astype(jnp.float32),
    passed=3 * jax.random.uniform(next(keys), (H, r, s)),
  )
  params = score.init(jax.random.key(1), K * H)
  params = {
    k: v + 0.1 * jax.random.normal(next(keys), jnp.shape(v))
    for k, v in sorted(params.items())
  }
  out = dict(logit=score.logit(tile, params))
  if score.step is not None:
    out |= dict(step=score.step(tile, params))
  return {k: np.asarray(v, np.float64).tolist() for k, v in out.items()}
