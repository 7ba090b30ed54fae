"""A formula typed as text: a bias like any other, and its exact reading."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from extrapolation.theory.errors import FormulaError
from extrapolation.theory.expression import grammar, trace
from extrapolation.theory.expression.graph import Graph, Node


def _log(base: int) -> Callable[[Array], Array]:
  """To a base, exactly: ln base is taken in the trace."""
  return lambda x: jnp.log(x) / jnp.log(base + 0 * x)


FUNCTIONS: dict[str, Callable[..., Array]] = {
  'log2': _log(2),
  'log10': _log(10),
  'sigmoid': jax.nn.sigmoid,
  'softplus': jax.nn.softplus,
  'erf': jax.lax.erf,
  'erfc': jax.lax.erfc,
  'lgamma': jax.lax.lgamma,
  'min': jnp.minimum,
  'max': jnp.maximum,
}
for _name in grammar.FUNCTIONS.keys() - FUNCTIONS:
  FUNCTIONS[_name] = getattr(jnp, _name)
CONSTANTS: dict[str, Callable[[Array], Array]] = {
  'e': jnp.exp,
  'pi': lambda one: 4 * jnp.arctan(one),
}


class Formula:
  """A formula: a callable `bias(distance, params)` and its exact reading.

  `t` is the distance 0, 1, 2, ...; `pi` and `e` are constants, any other name
  that is no function is a positive parameter. Numbers are exact: 0.1 is one
  tenth, for they reach the trace as arguments and not as float32 constants.

  Attributes:
    text: as typed.
    parameters: names of its positive parameters, sorted.
    has_distance: whether it has t.
  """

  def __init__(self, text: str):
    self.text = text
    self._tree, self._numbers = grammar.parse(text)
    self.parameters = sorted(grammar.names(self._tree))
    self.has_distance = bool(grammar.names(self._tree, 't'))

  def __call__(self, distance: Array, params: Mapping | None = None):
    """The bias in floating point, elementwise in `distance`."""
    numbers = [jnp.float32(float(x)) for x in self._numbers]
    return self._evaluate(distance, params or {}, numbers)

  def _evaluate(self, distance: Array, params: Mapping, numbers: Sequence):
    t = distance.astype(jnp.float32)
    return jnp.broadcast_to(_apply(self._tree, t, params, numbers), t.shape)

  def read(
    self,
    values: Mapping[str, Fraction] | None = None,
    graph: Graph | None = None,
  ) -> Node:
    """The exact expression; `values` sets parameters, the others stay names.

    Raises:
      FormulaError: a value for a name that the formula does not have, or not
        positive, or a constant part that has no value (log of -1, 1 / 0).
    """
    values = dict(values or {})
    for name, value in values.items():
      if name not in self.parameters:
        has = ', '.join(self.parameters) or 'none'
        raise FormulaError(f'no parameter {name!r}; the formula has: {has}')
      if value < 0:
        raise FormulaError(f'{name} = {value}: parameters are positive or 0')
    params = {n: values.get(n, n) for n in self.parameters}
    numbers = {f'{i:04d}': x for i, x in enumerate(self._numbers)}

    def bias(t: Array, inputs: dict):
      listed = [inputs['n'][k] for k in sorted(inputs['n'])]
      return self._evaluate(t, inputs['p'], listed)

    try:
      graph = graph or Graph(rounds=False)
      (node,) = trace.read(bias, {'n': numbers, 'p': params}, graph)
    except FormulaError:
      raise
    except (ValueError, OverflowError) as e:
      raise FormulaError(f'formula {self.text!r}: {e}') from e
    return node


def _apply(tree: tuple, t: Array, params: Mapping, numbers: Sequence) -> Any:
  kind, *rest = tree
  if kind == 't':
    return t
  if kind == 'number':
    return numbers[rest[0]]
  if kind == 'name':
    return params[rest[0]]
  if kind == 'constant':
    return CONSTANTS[rest[0]](1 + 0 * t)
  args = [_apply(x, t, params, numbers) for x in rest if isinstance(x, tuple)]
  if kind == 'call':
    f, out = FUNCTIONS[rest[0]], args[0]
    if len(args) == 1:
      return f(out)
    for x in args[1:]:
      out = f(out, x)
    return out
  return {
    '+': lambda a, b: a + b,
    '-': lambda a, b: a - b,
    '*': lambda a, b: a * b,
    '/': lambda a, b: a / b,
    '^': lambda a, b: jnp.power(a, b),
    'neg': lambda a: -a,
  }[kind](*args)
