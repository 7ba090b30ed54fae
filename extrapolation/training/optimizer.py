"""The optimiser of a config section, under a warm-up and a schedule."""

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array

from extrapolation import config


def learning_rate(steps: int, optim: config.Optim) -> optax.Schedule:
  """Learning rate by step: linear to `lr` over `warmup` steps, then down.

  inverse_sqrt: lr sqrt(warmup / step). cosine: half a cosine, 0 just after
  `steps`. constant: lr.
  """
  w = max(optim.warmup, 1)

  def rate(step: ArrayLike) -> Array:
    # The first update is step 1 of the warm-up: a rate of 0 would waste it.
    n = jnp.asarray(step, jnp.float32) + 1
    if optim.schedule == 'inverse_sqrt':
      after = jnp.sqrt(w / jnp.maximum(n, w))
    elif optim.schedule == 'cosine':
      share = (n - w) / (steps + 1 - w)
      after = 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(share, 0, 1)))
    else:
      after = 1.0
    return optim.lr * jnp.minimum(n / w, 1) * after

  return rate


def _decays(params: optax.Params) -> optax.Params:
  """True for matrices; scales, biases and encodings are left alone."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: str(path[-1].key) in ('kernel', 'embedding'), params
  )


def make(
  steps: int, optim: config.Optim
) -> tuple[optax.GradientTransformation, optax.Schedule]:
  """The rule after clipping by global norm, and its learning-rate schedule.

  sgd: momentum b1, decoupled decay; b2 and eps are of adamw alone.
  """
  rate = learning_rate(steps, optim)
  if optim.rule == 'adamw':
    tx = optax.adamw(
      rate,
      b1=optim.b1,
      b2=optim.b2,
      eps=optim.eps,
      weight_decay=optim.weight_decay,
      mask=_decays,
    )
  else:
    tx = optax.chain(
      optax.trace(optim.b1) if optim.b1 else optax.identity(),
      optax.add_decayed_weights(optim.weight_decay, _decays),
      optax.scale_by_learning_rate(rate),
    )
  if optim.clip:
    tx = optax.chain(optax.clip_by_global_norm(optim.clip), tx)
  return tx, rate
