"""What a part must be, looked at before anything is trained with it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from extrapolation.parts.inputs import Inputs, previous_ids
from extrapolation.parts.registry import Registry

B, T, D = 2, 16, 8
IDS = 256  # token ids of the probe
SCALES = (1.0, 30.0)  # of its content
STEPS = (0, 1 << 30)


def probe(
  scale: float = 1.0, step: int = 0, later: int = 0, T: int = T
) -> Inputs:
  """Random content and tokens; other ones from token T/2 on where `later`."""
  x, ids, key = jax.random.split(jax.random.key(0), 3)

  def draw(key: Any, sample: Callable):
    first = sample(key)
    other = sample(jax.random.fold_in(key, later)) if later else first
    return jnp.concatenate([first[:, : T // 2], other[:, T // 2 :]], 1)

  positions = jnp.arange(T)
  tokens = draw(ids, lambda key: jax.random.randint(key, (B, T), 0, IDS))
  return Inputs(
    positions=positions,
    x=scale * draw(x, lambda key: jax.random.normal(key, (B, T, D))),
    previous=previous_ids(tokens, positions),
    step=step,
    key=key,
  )


def check(
  registry: Registry,
  part: Any,
  field: str,
  allowed: Callable[[np.ndarray], np.ndarray],
  must: str,
  H: int,
  T: int = T,
) -> None:
  """Returns if `part.field(inputs, params)` is a causal function of its input.

  That is, for H heads and T tokens it gives finite float32
  [1 or B, T, 1 or H], each number `allowed`, and the same ones whatever comes
  later. A cheap test of some values, no proof.

  Raises:
    ValueError: it is not; names the file, the token and the head.
  """
  name = repr(part.name) if part.name else 'without a name'
  file = registry.file_of(part.name) if part.name else ''
  where = f'{registry.noun} {name}' + (f' ({file})' if file else '')

  def wrong(what: str) -> ValueError:
    return ValueError(f'{where}: its {field} {what}')

  def values(inputs: Inputs) -> np.ndarray:
    try:
      params = part.init(jax.random.key(1), D)
      out = getattr(part, field)(inputs, params)
    except Exception as e:  # whatever a file of the user's own raises
      words = ' '.join(str(e).split())[:200]
      raise wrong(f'raises {type(e).__name__}: {words}') from e
    shape, dtype = getattr(out, 'shape', None), getattr(out, 'dtype', None)
    shapes = [(b, T, h) for b in (1, B) for h in (1, H)]
    if shape not in shapes or dtype != jnp.float32:
      raise wrong(
        f'of B = {B}, T = {T}, H = {H} is {dtype}{list(shape or ())}; it must '
        f'be float32[{B}, {T}, {H}], or 1 in place of B or H'
      )
    return np.asarray(out, np.float64)

  for scale in SCALES:
    for step in STEPS:
      out = values(probe(scale, step, T=T))
      bad = ~(np.isfinite(out) & allowed(out))
      if bad.any():
        b, t, h = np.argwhere(bad)[0]
        raise wrong(f'is {out[b, t, h]:g} at token {t}, head {h}; {must}')
  before, after = (values(probe(later=later, T=T)) for later in (0, 1))
  changed = before[:, : T // 2] != after[:, : T // 2]
  if changed.any():
    _, t, h = np.argwhere(changed)[0]
    raise wrong(
      f'at token {t}, head {h}, changes with the tokens from {T // 2} on; it '
      'must be a function of what comes before'
    )
