"""The most that a key can weigh, by how many tokens lie between.

Of a clock that is the same for every text, distances are those of the clock; of
a heat s_i of the bias that is, ln of the weight at distance t is at most

  max(s_low b(t), s_high b(t)),

with the least and the largest s_i of the queries i >= t, which alone have a key
that far away.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from extrapolation import model
from extrapolation.clock.base import Clock
from extrapolation.heat.base import Heat
from extrapolation.parts.inputs import Inputs


def log_weights(
  m: model.Model, params: dict, length: int, clocks: bool = True
) -> Float[np.ndarray, 'N H n']:
  """No less than what is added to q.k at 0 .. length - 1 tokens between.

  Exactly that where it is a function of i - j. Without `clocks`, rows of layers
  that have one are -inf.

  Raises:
    ValueError: a clock or a heat of the bias is of the text, so that keys may
      weigh as much at any distance; or logits are more than q.k and the bias.
  """
  if m.by_distance:
    return np.asarray(m.bias(params, length), np.float64)
  if not all(e.score.is_plain for e in m.encodings):
    raise ValueError(
      f'of {m.config.label} logits are more than q.k and a bias, so nothing '
      'bounds what is left out'
    )
  m, params = model.unrolled(m, params)
  rows = []
  for i, (encoding, own) in enumerate(m.rpe_by_layer(params)):
    raw = params['layers'][i]
    if not clocks and not encoding.clock.is_index:
      rows.append(np.full((m.config.H, length), -np.inf))
      continue
    clock, heat = encoding.clock, encoding.heat
    pace = _pace(clock, raw.get('clock', {}), m, length)
    distance = np.arange(length) * pace[:, None]  # [1 or H, n]
    tables = [encoding.bias(jnp.asarray(d, jnp.float32), own) for d in distance]
    table = np.asarray(tables[0], np.float64)
    for h, of_head in enumerate(tables[1:], 1):
      table[h] = of_head[h]
    rows.append(_heated(table, heat, raw.get('heat', {}), m))
  return np.stack(rows)


def _pace(
  clock: Clock, raw: dict, m: model.Model, n: int
) -> Float[np.ndarray, ' h']:
  """Positions per token of each head, or of all."""
  if clock.is_index:
    return np.ones(1)
  increments = _of_any_text(clock, 'increments', raw, m, n)
  if increments is None or (increments[1:] != increments[1:2]).any():
    raise ValueError(
      f'of {m.config.label} a clock may put all keys near, so nothing bounds '
      'what is left out'
    )
  return increments[-1]


def _heated(
  table: Float[np.ndarray, 'H n'], heat: Heat, raw: dict, m: model.Model
) -> Float[np.ndarray, 'H n']:
  """The most that the heat of a query makes of each value."""
  whole = np.broadcast_to(heat.whole, len(table))[:, None]
  if not whole.any():
    return table
  s = _of_any_text(heat, 'scale', raw, m, table.shape[1])
  if s is None:
    raise ValueError(
      f'of {m.config.label} a heat of the bias changes with the text, so '
      'nothing bounds what is left out'
    )
  s = np.where(whole, np.broadcast_to(s.T, table.shape), 1)
  ends = (
    f.accumulate(s[:, ::-1], axis=1)[:, ::-1]  # over the queries i >= t
    for f in (np.minimum, np.maximum)
  )
  return np.maximum(*(x * table for x in ends))


def _of_any_text(
  part: Clock | Heat, field: str, raw: dict, m: model.Model, n: int
) -> Float[np.ndarray, 'n h'] | None:
  """What a part gives n tokens of every text; None if it is of the text.

  That is, if it cannot do without one, or differs between two.
  """
  params = part.constrain(raw)
  given = Inputs(positions=jnp.arange(n), step=m.step)

  def values(**text: jax.Array) -> np.ndarray:
    out = getattr(part, field)(
      Inputs(positions=given.positions, step=given.step, **text), params
    )
    return np.asarray(out, np.float64)

  try:
    known = values()
  except (ValueError, TypeError, AttributeError):  # it reads what is None
    return None
  for key in jax.random.split(jax.random.key(0)):
    x = jax.random.normal(key, (1, n, m.config.D))
    previous = jax.random.randint(key, (1, n), 0, m.V)
    if (values(x=x, previous=previous) != known).any():
      return None
  return known[0]
