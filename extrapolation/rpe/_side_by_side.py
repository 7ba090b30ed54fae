"""Clocks, heats and scores of encodings that share the heads of a layer.

Each has `size` heads, the first ones first; learned parameters are called
NAME_0, NAME_1, ... by part.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from extrapolation.clock.base import Clock
from extrapolation.heat.base import Heat
from extrapolation.parts.inputs import Inputs
from extrapolation.parts.score import Score, Tile
from extrapolation.rpe.base import RPE, Params


def clock(clocks: Sequence[Clock], size: int) -> Clock:
  """The clock of all heads; what is known of one part is not kept."""
  if all(c.is_index for c in clocks):
    return clocks[0]

  def increments(inputs: Inputs, params: Params) -> Array:
    return _heads([c.increments for c in clocks], size, inputs, params)

  return Clock(increments=increments, name=_names(clocks), **learned(clocks))


def heat(heats: Sequence[Heat], size: int) -> Heat:
  """The heat of all heads."""
  if all(h.is_one for h in heats):
    return heats[0]

  def scale(inputs: Inputs, params: Params) -> Array:
    return _heads([h.scale for h in heats], size, inputs, params)

  whole = np.repeat([h.whole for h in heats], size)
  return Heat(
    scale=scale,
    whole=tuple(map(bool, whole)),
    name=_names(heats),
    **learned(heats),
  )


def score(scores: Sequence[Score], size: int) -> Score:
  """The score of all heads; each part reads its own heads of a tile."""
  if all(s.is_plain for s in scores):
    return scores[0]

  def joined(functions: Sequence[Callable | None]) -> Callable:
    def rows(tile: Tile, params: Params) -> Float[Array, 'H r s']:
      made = []
      for i, f in enumerate(functions):
        of = _of_heads(tile, slice(i * size, (i + 1) * size))
        out = jnp.zeros_like(of.z) if f is None else f(of, of_part(params, i))
        made.append(jnp.broadcast_to(out, of.z.shape))
      return jnp.concatenate(made)

    return rows

  steps = [s.step for s in scores]
  softmax = np.concatenate([np.broadcast_to(s.softmax, size) for s in scores])
  changed = learned(scores)
  if changed:  # a share of the heads has that share of the width
    share = len(scores)
    inits = [s.init for s in scores]
    changed |= dict(init=lambda key, D: _init(inits)(key, D // share))
  return Score(
    logit=joined([s.logit for s in scores]),
    step=joined(steps) if any(steps) else None,
    softmax=True if softmax.all() else tuple(map(bool, softmax)),
    **changed,
  )


def _of_heads(tile: Tile, heads: slice) -> Tile:
  """The part of a tile that some heads read; what is one for all stays."""
  return Tile(*(x if x.shape[0] == 1 else x[heads] for x in tile))


def _names(parts: Sequence[Clock] | Sequence[Heat]) -> str:
  """Of those that are none, nothing."""
  return '+'.join(part.name for part in parts if part.name)


def _heads(
  functions: Sequence[Callable], size: int, inputs: Inputs, params: Params
) -> Float[Array, '#B T H']:
  """What each part says of its heads, next to each other."""
  rows = [f(inputs, of_part(params, i)) for i, f in enumerate(functions)]
  B = max(x.shape[0] for x in rows)
  rows = [jnp.broadcast_to(x, (B, x.shape[1], size)) for x in rows]
  return jnp.concatenate(rows, -1)


def learned(parts: Sequence[RPE | Clock | Heat | Score]) -> dict[str, Any]:
  """The fields init, constrain and unconstrain, if any part learns."""
  if not any(p.learned for p in parts):
    return {}
  return dict(
    init=_init([p.init for p in parts]),
    constrain=_each([p.constrain for p in parts]),
    unconstrain=_each([p.unconstrain for p in parts]),
  )


def _init(functions: Sequence[Callable]) -> Callable:
  def init(key: PRNGKeyArray, *sizes: int) -> Params:
    keys = jax.random.split(key, len(functions))
    made = [f(k, *sizes) for f, k in zip(functions, keys, strict=True)]
    return {f'{k}_{i}': v for i, p in enumerate(made) for k, v in p.items()}

  return init


def _each(functions: Sequence[Callable]) -> Callable:
  def apply(params: Params) -> Params:
    made = [f(of_part(params, i)) for i, f in enumerate(functions)]
    return {f'{k}_{i}': v for i, p in enumerate(made) for k, v in p.items()}

  return apply


def of_part(params: Mapping[str, Any], part: int) -> dict[str, Any]:
  """The parameters of one part by their own names."""
  end = f'_{part}'
  return {k.removesuffix(end): v for k, v in params.items() if k.endswith(end)}
