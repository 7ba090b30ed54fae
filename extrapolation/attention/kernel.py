"""A bias as the function of distance that it is, with its parameters."""

import dataclasses
import functools
import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, PyTree

log = logging.getLogger(__name__)

# What may happen to distances where each head has its own: values one by one,
# and what one axis more or less takes.
CALLS = ('pjit', 'jit', 'closed_call', 'custom_jvp_call', 'custom_vjp_call')
SHAPES = ('broadcast_in_dim', 'reshape', 'squeeze')
ELEMENTWISE = frozenset(
  """
abs add and atan2 cbrt ceil clamp convert_element_type copy cos cosh div eq erf
erfc exp exp2 expm1 floor ge gt integer_pow is_finite le lgamma log log1p
logistic lt max min mul ne neg not or pow rem round rsqrt select_n sign sin sinh
sqrt square stop_gradient sub tan tanh
  """.split()  # noqa: SIM905  (eight lines instead of fifty)
)


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=['params'],
  meta_fields=['bias'],
)
@dataclasses.dataclass(frozen=True)
class Kernel:
  """`bias(distance [d], params) -> [H, d]`, elementwise in distance.

  Attributes:
    bias: static under `jit`, and the same function only if it is the same
      object: take it from one record, `Kernel(rpe.bias, params)`.
    params: in the formula's own units; gradients flow to them.
  """

  bias: Callable[[Num[Array, ' d'], PyTree], Float[Array, 'H d']]
  params: PyTree

  def table(self, n: int) -> Float[Array, 'H n']:
    """Its values at the distances 0 .. n - 1."""
    return self.bias(jnp.arange(n), self.params)

  def times(self, scale: Float[Array, 'H 1']) -> 'Kernel':
    """The same times a number per head."""
    return Kernel(_times(self.bias), (self.params, scale))


@functools.lru_cache(maxsize=64)
def _times(bias: Callable) -> Callable:
  """One object for each function, as `Kernel` asks."""
  return lambda distance, params: bias(distance, params[0]) * params[1]


def at(
  bias: Callable,
  params: PyTree,
  distance: Float[Array, 'h r s'],
  H: int,
  at_once: bool,
) -> Float[Array, 'H r s']:
  """bias_h(distance_h), of a distance per head, or one for all (h = 1).

  Where `at_once` (`broadcasts`), H heads cost as much as one table of H rows.
  Otherwise row h is all that is read of the H that a head's distances give.
  """
  f = functools.partial(_rows, bias, params)
  if len(distance) == 1:
    return f(distance[0])
  if at_once:
    return jax.vmap(lambda t: bias(t, params), 1, 1)(distance)
  return jnp.concatenate([f(distance[h])[h : h + 1] for h in range(H)])


def _rows(bias: Callable, params: PyTree, distance: Array) -> Array:
  """[r, s] -> [H, r, s], by row: flattened, XLA would divide two indices."""
  return jax.vmap(lambda t: bias(t, params), out_axes=1)(distance)


def broadcasts(bias: Callable, params: PyTree, H: int) -> bool:
  """Whether row h of bias of distances [H, d] is that of head h.

  Proved by reading: all that is computed of such distances is elementwise and
  [H, d], and is what is computed of [d]. A value of row h then comes of its
  own distance, and of what broadcasts against that row.
  """
  rows = (H, 3 * H + 1)
  try:
    many, flat = (
      jax.make_jaxpr(bias)(jax.ShapeDtypeStruct(shape, jnp.float32), params)
      for shape in (rows, rows[1:])
    )
  except Exception as e:  # whatever a formula raises that expects one axis
    log.debug(
      'a kernel is evaluated head by head: %s', ' '.join(str(e).split())
    )
    return False
  steps = _steps(many.jaxpr, {id(many.jaxpr.invars[0])})[0]
  known = _steps(flat.jaxpr, {id(flat.jaxpr.invars[0])})[0]
  return (
    [x.shape for x in many.out_avals] == [rows]
    and all(n in ELEMENTWISE and shape == rows for n, shape in steps)
    and [n for n, _ in steps] == [n for n, _ in known if n not in SHAPES]
  )


def _steps(jaxpr: Any, moving: set[int]) -> tuple[list, set[int]]:
  """(primitive, shape) of all that depends on variables, and their ids."""
  seen, moving = [], set(moving)
  for e in jaxpr.eqns:
    moved = [id(x) in moving for x in e.invars]
    name = e.primitive.name
    inner = e.params.get('jaxpr', e.params.get('call_jaxpr'))
    if name in CALLS and inner is not None:
      inner = getattr(inner, 'jaxpr', inner)
      given = {id(x) for x, m in zip(inner.invars, moved, strict=True) if m}
      steps, known = _steps(inner, given)
      seen += steps
      outs = zip(e.outvars, inner.outvars, strict=True)
      moving |= {id(x) for x, y in outs if id(y) in known}
    elif any(moved):
      seen += [(name, x.aval.shape) for x in e.outvars]
      moving |= {id(x) for x in e.outvars}
  return seen, moving


def pull(
  bias: Callable,
  params: PyTree,
  distance: Float[Array, 'h r s'],
  g: Float[Array, 'H r s'],
  at_once: bool,
) -> tuple[Float[Array, 'h r s'], PyTree]:
  """Cotangents of distance and params for g, that of `at`.

  The slope in distance is found forwards, in one fused loop with the value:
  backwards, every head would have the zeros of the others to add.
  """
  value = functools.partial(at, bias, H=len(g), at_once=at_once)
  _, slope = jax.jvp(
    lambda t: value(params, t), (distance,), (jnp.ones_like(distance),)
  )
  along = g * slope
  if len(distance) == 1:
    along = along.sum(0, keepdims=True)
  if not jax.tree.leaves(params):
    return along, params
  _, back = jax.vjp(lambda x: value(x, distance), params)
  return along, back(g)[0]
