"""Whether a traced bias is one function of distance at every length.

The walk of `trace.read` sees what mixes distances, at two small lengths. Here
the length is a symbol: what looks at it (a size, an index, a place such as
t[:512]) shows up in the jaxpr or stops the trace.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from extrapolation.theory.errors import UnreadableBias

# A symbol is no number, so that `if length == 512` takes the other branch.
LENGTHS = (7, 512, 513, 1024, 2048, 4096, 8192, 9216)

LENGTH = (
  'the bias depends on how many distances it is given, or on their places; '
  'theory reads functions of distance alone: use the values of the distance'
)
NUMPY = (
  'the bias turns its distance into a number of numpy or Python; theory reads '
  'jnp functions: use jnp in place of np and math, and jnp.where in place of if'
)


def trace(call: Callable, length: Any, params: Sequence[Any]) -> ClosedJaxpr:
  """The jaxpr of call(distance, *params) for a number of distances.

  Raises:
    UnreadableBias: what asks for the value of a distance.
  """
  spec = jax.ShapeDtypeStruct((length,), jnp.int32)
  try:
    return jax.make_jaxpr(call)(spec, *params)
  except (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
  ) as e:
    raise UnreadableBias(NUMPY) from e


def check(call: Callable, params: Sequence[Any]) -> None:
  """Refuses what looks at the number of distances, or at their places.

  Raises:
    UnreadableBias: it does.
  """
  (d,) = export.symbolic_shape('d')
  try:
    list(_steps(trace(call, d, params)))
  except Exception as e:  # of jax, of several kinds: the number is needed
    raise UnreadableBias(LENGTH) from e
  first, *others = (list(_steps(trace(call, n, params))) for n in LENGTHS)
  if any(steps != first for steps in others):
    raise UnreadableBias(LENGTH)


def _steps(closed: ClosedJaxpr) -> Iterator[tuple]:
  """Constants, primitives and literals in order."""
  for const in closed.consts:
    array = np.asarray(const)
    yield array.shape, str(array.dtype), array.tobytes()
  for eqn in closed.jaxpr.eqns:
    name = eqn.primitive.name
    sizes = {n for v in eqn.outvars for n in v.aval.shape if not _number(n)}
    if name == 'dim_as_value' or (name == 'iota' and sizes):
      raise UnreadableBias(LENGTH)
    if any(not re.fullmatch(r'([0-9]+\*)?d', str(n)) for n in sizes):
      raise UnreadableBias(LENGTH)  # a part of the distances: t[:512]
    yield name, *(str(v.val) for v in eqn.invars if isinstance(v, Literal))
    for inner in _inner(eqn.params.values()):
      yield from _steps(inner)


def _inner(params: Any) -> Iterator[ClosedJaxpr]:
  """The jaxprs among the parameters of an equation."""
  for value in params:
    if isinstance(value, ClosedJaxpr):
      yield value
    elif isinstance(value, Jaxpr):
      yield ClosedJaxpr(value, ())
    elif isinstance(value, tuple | list):
      yield from _inner(value)


def _number(n: Any) -> bool:
  return isinstance(n, int | np.integer)
