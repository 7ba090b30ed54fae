"""The optimiser of a config section, under a warm-up and a schedule."""

import jax
import jax.numpy as jnp
import optax

RULES = ('adamw', 'sgd')
SCHEDULES = ('inverse_sqrt', 'cosine', 'constant')


def learning_rate(
  steps: int, *, lr: float, schedule: str, warmup: int
) -> optax.Schedule:
  """Learning rate by step: linear to `lr` over `warmup` steps, then down.

  inverse_sqrt: lr sqrt(warmup / step). cosine: half a cosine, 0 just after
  `steps`. constant: lr.
  """
  if schedule not in SCHEDULES:
    raise ValueError(
      f'optim.schedule = {schedule!r}; there are: ' + ', '.join(SCHEDULES)
    )
  if not 0 <= warmup <= steps:
    raise ValueError(
      f'optim.warmup = {warmup}: needs 0 <= warmup <= train.steps = {steps}'
    )
  w = max(warmup, 1)

  def rate(step):
    # The first update is step 1 of the warm-up: a rate of 0 would waste it.
    n = jnp.asarray(step, jnp.float32) + 1
    if schedule == 'inverse_sqrt':
      after = jnp.sqrt(w / jnp.maximum(n, w))
    elif schedule == 'cosine':
      share = (n - w) / (steps + 1 - w)
      after = 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(share, 0, 1)))
    else:
      after = 1.0
    return lr * jnp.minimum(n / w, 1) * after

  return rate


def _decays(params):
  """True for matrices; scales, biases and encodings are left alone."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: str(path[-1].key) in ('kernel', 'embedding'), params
  )


def make(
  steps: int,
  *,
  rule: str = 'adamw',
  lr: float = 5e-4,
  schedule: str = 'inverse_sqrt',
  warmup: int = 4000,
  b1: float = 0.9,
  b2: float = 0.98,
  eps: float = 1e-8,
  weight_decay: float = 0.0,
  clip: float = 1.0,
) -> tuple[optax.GradientTransformation, optax.Schedule]:
  """The rule after clipping by global norm, and its learning-rate schedule.

  sgd: momentum b1, decoupled decay; b2 and eps are of adamw alone.
  """
  if rule not in RULES:
    raise ValueError(f'optim.rule = {rule!r}; there are: {", ".join(RULES)}')
  for name, value in dict(
    lr=lr, eps=eps, clip=clip, weight_decay=weight_decay
  ).items():
    if not 0 <= value < float('inf'):
      raise ValueError(f'optim.{name} = {value}: needs a finite value >= 0')
  for name, value in dict(b1=b1, b2=b2).items():
    if not 0 <= value < 1:
      raise ValueError(f'optim.{name} = {value}: needs 0 <= value < 1')
  rate = learning_rate(steps, lr=lr, schedule=schedule, warmup=warmup)
  if rule == 'adamw':
    tx = optax.adamw(
      rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=_decays
    )
  else:
    tx = optax.chain(
      optax.trace(b1) if b1 else optax.identity(),
      optax.add_decayed_weights(weight_decay, _decays),
      optax.scale_by_learning_rate(rate),
    )
  return optax.chain(optax.clip_by_global_norm(clip), tx) if clip else tx, rate
