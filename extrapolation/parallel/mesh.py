"""Where arrays live: a mesh of devices, and how one function runs over it.

'data' spreads sequences, 'fsdp' sequences and the state, 'seq' the tokens of a
sequence. A function is written once for the whole batch; the compiler divides
it (`jit`), or every device runs it on its own rows (`pmap`).
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray

from extrapolation import config
from extrapolation.parallel import axes

BATCH = axes.BATCH
AXES = (*BATCH, axes.SEQUENCE)
MIN_TOKENS = 256  # tokens; to exchange less than these takes longer
MIN_SHARD_SIZE = 1 << 10  # elements; fewer are cheaper held than gathered


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
  """A mesh and the way functions run over it."""

  mesh: Mesh
  mode: str = 'jit'

  @property
  def batch_shards(self) -> int:
    """Parts that a batch is spread in."""
    return self.mesh.shape['data'] * self.mesh.shape['fsdp']

  def __str__(self):
    if self.mesh.size == 1:
      return 'one device'
    sizes = ' x '.join(f'{n} {k}' for k, n in self.mesh.shape.items())
    return f'{self.mesh.size} devices: {sizes}, {self.mode}'

  def sharding(self, *spec: Any) -> NamedSharding:
    return NamedSharding(self.mesh, P(*spec))

  def abstract_state(self, init: Callable, *args: Any):
    """The arrays of init(*args) as shapes, and where they are to stay.

    The longest axis that divides is spread over 'fsdp'.
    """

    def one(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
      sharding = self.sharding(*self._spread(x.shape))
      return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    return jax.tree.map(one, jax.eval_shape(init, *args))

  def replicated(self, shapes: Any):
    """`shapes`, each array whole on every device."""
    return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(
        x.shape, x.dtype, sharding=self.sharding()
      ),
      shapes,
    )

  def _spread(self, shape: tuple[int, ...]) -> tuple:
    n = self.mesh.shape['fsdp']
    if n > 1 and math.prod(shape) >= MIN_SHARD_SIZE:
      for i in np.argsort(shape, stable=True)[::-1]:
        if shape[i] % n == 0:
          return (*[None] * int(i), 'fsdp')
    return ()

  def init_sharded(self, init: Callable, abstract_state: Any) -> Callable:
    """init(key) whose arrays are made where `abstract_state` says they stay."""
    out = jax.tree.map(lambda x: x.sharding, abstract_state)
    return self._here(jax.jit(init, out_shardings=out))

  def jit_replicated(self, f: Callable) -> Callable:
    """f(x) of arrays wherever they are, the result whole on every device."""
    return self._here(jax.jit(f, out_shardings=self.sharding()))

  def compile(
    self, f: Callable, abstract_state: Any = None, donate: bool = False
  ) -> Callable:
    """f(x, batch, *rest, axis) over the mesh.

    Args:
      f: takes a pytree x, arrays of a batch with rows first, and more. `axis`
        is None if it sees the whole batch, else the name of the axis to sum
        over (`psum`). Its results are the same everywhere.
      abstract_state: that of x, if f returns (x, other); None if other alone.
      donate: give up the memory of x.
    """
    donated = (0,) if donate else ()
    if self.mode == 'jit':
      whole = self.sharding()
      out = jax.tree.map(lambda x: x.sharding, abstract_state)
      out = whole if abstract_state is None else (out, whole)
      g = jax.jit(
        functools.partial(f, axis=None),
        out_shardings=out,
        donate_argnums=donated,
      )
      return self._here(lambda x, batch, *rest: g(x, batch, *rest))
    g = functools.cache(
      lambda n: jax.pmap(
        functools.partial(f, axis='data'),
        axis_name='data',
        in_axes=(None, 0, *[None] * n),
        out_axes=None,
        devices=list(self.mesh.devices.flat),
        donate_argnums=donated,
      )
    )
    return lambda x, batch, *rest: g(len(rest))(x, batch, *rest)

  def _here(self, f: Callable) -> Callable:
    if self.mesh.size == 1:  # nothing inside asks for it
      return f

    def call(*args: Any):
      with jax.set_mesh(self.mesh):
        return f(*args)

    return call

  def slice(self, rows: int) -> tuple[int, int]:
    """(index, count): this process reads the index-th of count equal parts."""
    if jax.process_count() == 1:
      return 0, 1
    where = self.sharding(BATCH).addressable_devices_indices_map((rows,))
    ranges = {i[0].indices(rows)[:2] for i in where.values() if i}
    start, stop = min(ranges)[0], max(ranges)[1]
    size = sum(b - a for a, b in ranges)
    if size == stop - start and rows % size == 0 and start % size == 0:
      return start // size, rows // size
    return 0, 1  # what it needs is not one block: it reads everything

  def global_from_local(self, batch: Any, rows: int):
    """This process's rows of a batch of `rows`, as arrays of the whole one."""
    if self.mode == 'pmap':
      n = self.mesh.local_mesh.size
      return jax.tree.map(lambda x: x.reshape(n, -1, *x.shape[1:]), batch)
    if self.mesh.size == 1:
      return batch
    index, count = self.slice(rows)
    first = index * (rows // count)
    sharding = self.sharding(BATCH)

    def one(x: np.ndarray) -> jax.Array:
      def part(where: tuple[slice, ...] | None) -> np.ndarray:
        assert where  # the rows are spread
        a, b, _ = where[0].indices(rows)
        return x[a - first : b - first]

      shape = (rows, *x.shape[1:])
      return jax.make_array_from_callback(shape, sharding, part)

    return jax.tree.map(one, batch)

  def global_from_replicated(self, batch: np.ndarray) -> ArrayLike:
    """A batch that every process has, as one array over the mesh."""
    if self.mesh.size == 1:
      return batch
    sharding = self.sharding(BATCH)
    return jax.make_array_from_callback(
      batch.shape, sharding, lambda where: batch[where]
    )


def layout(settings: config.Parallel, ordered: bool = False) -> Layout:
  """The layout of a config section on the devices there are.

  One process may use a part of its devices; several use all. ordered: number
  them alike in every layout, so that arrays need not move between two.

  Raises:
    ValueError: a mesh that does not fit the devices.
  """
  sizes = settings.sizes(jax.device_count(), jax.process_count())
  return _layout(sizes, settings.mode, ordered)


@functools.lru_cache(maxsize=32)
def _layout(sizes: tuple[int, ...], mode: str, ordered: bool) -> Layout:
  n = math.prod(sizes)
  kinds = (AxisType.Auto,) * len(AXES)
  devices = jax.devices()[:n]
  if ordered or mode == 'pmap':  # which numbers devices in this order
    return Layout(Mesh(np.reshape(devices, sizes), AXES, kinds), mode)
  return Layout(jax.make_mesh(sizes, AXES, kinds, devices=devices), mode)


def for_length(T: int, sequences: int, tokens: int) -> tuple[Layout, int]:
  """A layout for `sequences` forward passes of length T, and rows in each pass.

  One device takes up to `tokens` of them. A longer sequence is spread over
  several; so is one of few, rather than let devices idle, while a device
  still has MIN_TOKENS of its tokens.
  """
  n = jax.device_count()
  divisors = [k for k in range(1, n + 1) if n % k == 0]
  seq = next((k for k in divisors if T <= k * tokens), n)
  for k in divisors:
    if k > seq and sequences <= n // k and T >= k * MIN_TOKENS:
      seq = k
  data = n // seq
  if jax.process_count() == 1:  # a smaller mesh, and no empty rows
    data = max(k for k in divisors if data % k == 0 and k <= sequences)
  each = max(1, min(tokens * seq // T, -(-sequences // data)))
  return layout(config.Parallel(data=data, seq=seq), ordered=True), data * each


def for_examples(T: int, n: int, tokens: int) -> tuple[Layout, int]:
  """A layout for n forward passes of T positions, none of which is spread.

  One device takes up to `tokens` positions, or one pass, at once.
  """
  devices = jax.device_count()
  data = devices
  if jax.process_count() == 1:  # a smaller mesh, and no empty rows
    data = max(k for k in range(1, devices + 1) if devices % k == 0 and k <= n)
  each = max(1, min(tokens // T, -(-n // data)))
  return layout(config.Parallel(data=data), ordered=True), data * each


def psum(x: Any, axis: str | None) -> Any:
  """The sum of x over the devices of `axis`; x itself without one."""
  return x if axis is None else jax.lax.psum(x, axis)


def fold_in_axis(key: PRNGKeyArray, axis: str | None) -> PRNGKeyArray:
  """Another key on each device of `axis`, which draws for its own rows."""
  return (
    key if axis is None else jax.random.fold_in(key, jax.lax.axis_index(axis))
  )


def constrain(x: jax.Array) -> jax.Array:
  """x [B, T, ...], its sequences and tokens kept where the mesh has them.

  Without it the compiler may follow the weights' sharding and spread features.
  """
  batch, shards = axes.in_use()
  sizes = jax.sharding.get_abstract_mesh().shape
  if x.shape[0] % math.prod(sizes[name] for name in batch):
    batch = ()
  if not batch and shards == 1:
    return x
  tokens = axes.SEQUENCE if shards > 1 else None
  return jax.lax.with_sharding_constraint(x, P(batch or None, tokens))


def shards() -> int:
  """Devices that the tokens of a sequence are spread over."""
  return axes.in_use()[1]


def shifted(tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Inputs and targets of tokens [B, T + 1], each spread over the mesh."""
  return constrain(tokens[:, :-1]), constrain(tokens[:, 1:])


def replicate(x: jax.Array) -> jax.Array:
  """x, gathered from wherever it is spread; its gradient is spread again.

  For a table that is looked up: a gather over a spread axis moves activations.
  """
  mesh = jax.sharding.get_abstract_mesh()
  batch, _ = axes.in_use()
  if mesh.empty or not batch:
    return x
  return jax.lax.with_sharding_constraint(x, P())
