"""A formula typed as text: a bias like any other, and its exact reading."""

import jax.numpy as jnp

from extrapolation.theory import grammar, interpret
from extrapolation.theory.expression import Graph, Node
from extrapolation.theory.grammar import FormulaError

FUNCTIONS = {
  'exp': jnp.exp,
  'log': jnp.log,
  'log1p': jnp.log1p,
  'sqrt': jnp.sqrt,
  'sin': jnp.sin,
  'cos': jnp.cos,
  'tanh': jnp.tanh,
  'sinh': jnp.sinh,
  'cosh': jnp.cosh,
  'abs': jnp.abs,
  'floor': jnp.floor,
  'min': jnp.minimum,
  'max': jnp.maximum,
}


class Formula:
  """A formula: a callable `bias(distance, params)` and its exact reading.

  `t` is the distance 0, 1, 2, ...; any name that is no function is a positive
  parameter. Numbers are exact: 0.1 is one tenth, for they reach the trace as
  arguments and not as float32 constants.

  Attributes:
    text: as typed.
    parameters: names of its positive parameters, sorted.
  """

  def __init__(self, text: str):
    self.text = text
    self._tree, self._numbers = grammar.parse(text)
    self.parameters = sorted(grammar.names(self._tree))

  def __call__(self, distance, params=None):
    """The bias in floating point, elementwise in `distance`."""
    numbers = [jnp.float32(float(x)) for x in self._numbers]
    return self._evaluate(distance, params or {}, numbers)

  def _evaluate(self, distance, params, numbers):
    t = distance.astype(jnp.float32)
    return jnp.broadcast_to(_apply(self._tree, t, params, numbers), t.shape)

  def read(self, values=None, graph: Graph | None = None) -> Node:
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

    def bias(t, inputs):
      listed = [inputs['n'][k] for k in sorted(inputs['n'])]
      return self._evaluate(t, inputs['p'], listed)

    try:
      (node,) = interpret.read(bias, {'n': numbers, 'p': params}, graph)
    except FormulaError:
      raise
    except (ValueError, OverflowError) as e:
      raise FormulaError(f'formula {self.text!r}: {e}') from e
    return node


def _apply(tree, t, params, numbers):
  kind, *rest = tree
  if kind == 't':
    return t
  if kind == 'number':
    return numbers[rest[0]]
  if kind == 'name':
    return params[rest[0]]
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
