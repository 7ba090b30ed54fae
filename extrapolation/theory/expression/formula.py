"""A formula typed as text: a bias like any other, and its exact reading."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from extrapolation.theory.errors import FormulaError
from extrapolation.theory.expression import functions, grammar
from extrapolation.theory.expression.graph import Graph, Node

NAMES = {  # of jnp, where it has another
  '+': 'add', '-': 'subtract', '*': 'multiply', '/': 'divide', '^': 'power',
  'neg': 'negative', '<': 'less', '<=': 'less_equal', 'min': 'minimum',
  'max': 'maximum',
}  # fmt: skip
FUNCTIONS: dict[str, Callable[..., Array]] = {
  'sigmoid': jax.nn.sigmoid,
  'softplus': jax.nn.softplus,
  'erf': jax.lax.erf,
  'erfc': jax.lax.erfc,
  'lgamma': jax.lax.lgamma,
}


class Formula:
  """A formula: a callable `bias(distance, params)` and its exact reading.

  `t` is the distance 0, 1, 2, ...; `pi` and `e` are constants, any other name
  that is no function is a positive parameter. Numbers are exact in the
  reading: 0.1 is one tenth, and no float32 constant.

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
    t, params = distance.astype(jnp.float32), params or {}

    def leaf(kind: str, data: Any) -> Any:
      if kind == 't':
        return t
      if kind == 'name':
        return params[data]
      number = kind == 'number'
      return jnp.float32(
        float(self._numbers[data]) if number else grammar.CONSTANTS[data]
      )

    def function(name: str) -> Callable[..., Array]:
      return FUNCTIONS.get(name) or getattr(jnp, NAMES.get(name, name))

    out = grammar.evaluate(self._tree, leaf, function)
    return jnp.broadcast_to(out, t.shape)

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
    graph = graph or Graph(rounds=False)
    leaves, numbers = {'t': graph.t}, [*map(graph.const, self._numbers)]
    for n in self.parameters:
      named = n not in values
      leaves[n] = graph.leaf('param', n) if named else graph.const(values[n])
    try:
      return functions.build(graph, self._tree, numbers, leaves)
    except FormulaError:
      raise
    except (ValueError, OverflowError) as e:
      raise FormulaError(f'formula {self.text!r}: {e}') from e
