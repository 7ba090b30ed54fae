"""The table of estimators.

An estimator is a file: `make(network, settings)` gives a function of a batch
and its reference pass, `flops(sizes, V, settings)` and FORMULA say what it
computes beyond that pass. What it returns is summed over windows: weights by
distance, [B, .., n], from which `theory.coverage` takes the field, as from
exp(bias).
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Integer
from numpy import ndarray

from extrapolation.model import Network
from extrapolation.receptive_field.estimators import (
  attention_mass,
  forward_pass,
  gradient,
  perturbation,
  rollout,
  truncation,
)
from extrapolation.receptive_field.estimators.settings import Settings

TABLE = dict(
  attention_mass=attention_mass,
  gradient=gradient,
  rollout=rollout,
  perturbation=perturbation,
  truncation=truncation,
)
RERUN = ('perturbation', 'truncation')  # these run the model again


@functools.lru_cache(maxsize=64)
def _jitted(name: str, network: Network, settings: Settings) -> Callable:
  return jax.jit(TABLE[name].make(network, settings))


def compiled(
  name: str,
  network: Network,
  settings: Settings,
  tokens: Integer[ndarray, ' t'],
) -> Callable[..., dict]:
  """`(params, bias, index, batch, reference) -> {name: [B, ..]}` of one.

  `index` numbers the windows of the batch; `tokens` are the whole text. Runs
  of one network share what is compiled, whatever their bias.
  """
  estimator = _jitted(name, network, settings)
  if name != 'perturbation':
    return lambda params, bias, index, *rest: estimator(params, bias, *rest)

  def run(params, bias, index, *rest):
    d, other = perturbation.draw(tokens, index, settings)
    changes = estimator(params, bias, *rest, jnp.asarray(d), jnp.asarray(other))
    return {
      f'perturbation_{kind}': perturbation.binned(settings.length, d, values)
      for kind, values in zip(('tv', 'kl'), changes, strict=True)
    }

  return run


@functools.lru_cache(maxsize=8)
def reference_pass(network: Network, Q: int) -> Callable:
  """`forward_pass.make`, compiled once per network."""
  return jax.jit(forward_pass.make(network, Q))
