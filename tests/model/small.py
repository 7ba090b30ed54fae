"""Models so small that they compile in a moment."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import pytest
from jaxtyping import Array

from extrapolation import config, model, rpe

V = 11
SIZES = dict(N=2, D=16, H=2, F=32, dropout=0.0)


def make(name: str, V: int = V, **changes) -> model.Model:
  """The model of an encoding; `changes` are keys of the section `model`."""
  return model.make(V, config.Model(rpe=name, **(SIZES | changes)))


def forward(m: model.Model, params: dict, tokens: Array) -> Array:
  """`m.logits`, compiled once for all encodings of a form."""
  return _forward(m.network)(params, m.bias(params, tokens.shape[1]), tokens)


@functools.cache
def by_form(*slow: str) -> list[Any]:
  """Every encoding, to parametrize a test that only the form matters to.

  All but one of the encodings that share one network are slow, and those named;
  but not those with hard zeros, which are tables that another path may trip
  over. The form of a new file is fast in every test.
  """
  assert set(slow) <= set(rpe.names())
  forms, out = set(), []
  for name in rpe.names():
    network = make(name, N=1).network
    fast = network not in forms or name == 'window'
    fast = fast and name not in slow
    forms.add(network)
    out.append(name if fast else pytest.param(name, marks=pytest.mark.slow))
  return out


@functools.cache
def _forward(network: model.Network) -> Callable:
  return jax.jit(
    lambda params, *args: model.logits(params, network.hidden(params, *args))
  )
