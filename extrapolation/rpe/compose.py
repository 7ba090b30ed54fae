"""Encodings side by side: each has an equal share of the heads."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num, PRNGKeyArray

from extrapolation import clock, heat
from extrapolation.rpe import _side_by_side as side_by_side
from extrapolation.rpe import composition
from extrapolation.rpe._side_by_side import of_part
from extrapolation.rpe.base import QK, RPE, Params


def share(H: int, n: int) -> int:
  """Heads of each of n encodings side by side.

  Raises:
    ValueError: H is no multiple of n.
  """
  if H % n:
    raise ValueError(
      f'{n} encodings side by side (+) and {H} heads: each has an equal share; '
      f'set model.H to a multiple of {n}, or give another number of parts'
    )
  return H // n


def heads(
  parts: Sequence[composition.Part],
  H: int,
  get: Callable[..., RPE],
  label: Callable[..., str],
) -> RPE:
  """The encoding of one layer, from its parts side by side."""
  size = share(H, len(parts))
  made = []
  for part in parts:
    encoding = get(part.kernel.name, size, **part.kernel.hyper)
    changed: dict[str, Any] = {}
    if part.clock:
      changed |= dict(
        clock=clock.get(part.clock.name, size, **part.clock.hyper)
      )
    if part.heat:
      item = part.heat
      changed |= dict(heat=heat.get(item.name, size, **item.hyper))
    text = composition.write(((part,),), label)
    made.append(dataclasses.replace(encoding, name=text, **changed))
    if made[-1].heat.whole and not np.all(made[-1].score.softmax):
      raise ValueError(
        f'{text!r}: a heat of the whole logit, where no softmax divides the '
        'weights; take a heat of q.k, whole=false'
      )
  if len(made) == 1:
    return made[0]
  name = composition.write((tuple(parts),), label)
  return dataclasses.replace(beside(made, H), name=name)


def beside(parts: Sequence[RPE], H: int) -> RPE:
  """The first encoding in the first H / n heads, and so on.

  Learned parameters are called NAME_0, NAME_1, ... by part.

  Raises:
    ValueError: heads that do not divide, or an absolute encoding, which every
      head would read.
  """
  size = share(H, len(parts))
  for part in parts:
    if 'embed' in part.beside_bias:
      raise ValueError(
        f'encoding {part.name!r} is added to the embeddings, which all heads '
        'read: it cannot be given to a share of the heads (+)'
      )

  directed = any(p.directed for p in parts)

  def bias(distance: Num[Array, ' d'], params: Params) -> Float[Array, 'H d']:
    t = abs(distance) if directed else distance
    rows = [
      p.bias(distance if p.directed else t, of_part(params, i))
      for i, p in enumerate(parts)
    ]
    return jnp.concatenate(rows)

  def rotate(q: QK, k: QK, positions: Array) -> tuple[QK, QK]:
    turned = []
    for i, part in enumerate(parts):
      heads = slice(i * size, (i + 1) * size)
      p = positions
      if p.ndim == 3 and p.shape[-1] > 1:
        p = p[..., heads]
      turned.append(part.rotate(q[:, :, heads], k[:, :, heads], p))
    q, k = (jnp.concatenate(x, 2) for x in zip(*turned, strict=True))
    return q, k

  changed: dict[str, Any] = {}
  changed |= side_by_side.learned(parts)
  if any('rotate' in p.beside_bias for p in parts):
    changed |= dict(rotate=rotate)
  return RPE(
    bias=bias,
    clock=side_by_side.clock([p.clock for p in parts], size),
    heat=side_by_side.heat([p.heat for p in parts], size),
    score=side_by_side.score([p.score for p in parts], size),
    directed=directed,
    causal=any(p.causal for p in parts),
    parts=tuple(parts),
    source='; '.join(dict.fromkeys(p.source for p in parts)),
    **changed,
  )


def init_rows(
  forms: Sequence[RPE], key: PRNGKeyArray, N: int, per_layer: bool
) -> Params:
  """Raw learned values of N layers, [rows, ...]: one row, or one per layer.

  Of several encodings that take turns, each has its own rows, NAME_0 ...
  """
  if len(forms) == 1:
    return _rows(forms[0], key, N if per_layer else 1)
  raw = {}
  for i, form in enumerate(forms):
    rows = len(range(i, N, len(forms))) if per_layer else 1
    made = _rows(form, jax.random.fold_in(key, i), rows)
    raw |= {f'{name}_{i}': value for name, value in made.items()}
  return raw


def _rows(form: RPE, key: PRNGKeyArray, rows: int) -> Params:
  keys = jax.random.split(key, rows)
  return jax.vmap(lambda k: form.unconstrain(form.init(k)))(keys)


def rows(
  encodings: Sequence[RPE], raw: Params, N: int, per_layer: bool
) -> list[Params]:
  """Per encoding: its parameters in the formula's units, [rows, ...]."""
  params = []
  for i, encoding in enumerate(encodings):
    n = len(range(i, N, len(encodings))) if per_layer else 1
    own = raw if len(encodings) == 1 else of_part(raw, i)
    own = own if encoding.learned else {}
    params.append(jax.vmap(encoding.constrain, axis_size=n)(own))
  return params


def of_layer(tree: Any, i: int) -> Any:
  """What belongs to layer i, of a list of layers or of [N, ...] arrays."""
  if isinstance(tree, list):
    return tree[i]
  return jax.tree.map(lambda x: x[i], tree)
