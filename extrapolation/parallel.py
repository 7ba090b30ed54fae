"""Where arrays live: a mesh of devices, and how one function runs over it.

'data' spreads sequences, 'fsdp' sequences and the state, 'seq' the tokens of a
sequence. A function is written once for the whole batch; the compiler divides
it (`jit`), or every device runs it on its own rows (`pmap`).
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from extrapolation.attention import sequence

BATCH = sequence.BATCH
AXES = (*BATCH, sequence.SEQUENCE)
MODES = ('jit', 'pmap')
SHORTEST = 256  # tokens; to exchange less than these takes longer
SMALL = 1 << 10  # elements; to gather fewer costs more than to hold them


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """The section `parallel` of a config; `config.base` says what it is."""

  mode: str = 'jit'
  data: int = -1
  fsdp: int = 1
  seq: int = 1

  def __post_init__(self):
    if self.mode not in MODES:
      raise ValueError(
        f'parallel.mode = {self.mode!r}; there are: {", ".join(MODES)}'
      )
    for name in AXES:
      if getattr(self, name) < 1 and getattr(self, name) != -1:
        raise ValueError(
          f'parallel.{name} = {getattr(self, name)}: needs >= 1, or -1 for '
          'all devices that are left'
        )
    if sum(getattr(self, name) == -1 for name in AXES) > 1:
      raise ValueError(f'{self}: only one of {", ".join(AXES)} can be -1')
    if self.mode == 'pmap' and (self.fsdp, self.seq) != (1, 1):
      raise ValueError(
        f'{self}: pmap spreads the batch alone; set parallel.fsdp=1 and '
        'parallel.seq=1, or parallel.mode=jit'
      )

  def __str__(self):
    sizes = ', '.join(f'{name}={getattr(self, name)}' for name in AXES)
    return f'parallel.mode = {self.mode}, {sizes}'

  def sizes(self, devices: int, processes: int = 1) -> tuple[int, ...]:
    """The size of each axis, with -1 filled in.

    Raises:
      ValueError: the mesh does not divide the devices, or leaves out some of
        those that several processes bring.
    """
    sizes = [getattr(self, name) for name in AXES]
    known = math.prod(n for n in sizes if n != -1)
    fits = devices % known == 0
    if -1 in sizes and fits:
      sizes[sizes.index(-1)], known = devices // known, devices
    if not fits or (processes > 1 and known != devices):
      raise ValueError(
        f'{self}: a mesh of {known} does not '
        + ('divide' if not fits else 'take')
        + f' the {devices} device{"s" * (devices > 1)} there are'
        + (f' in {processes} processes' if processes > 1 else '')
        + '; -1 fills an axis in'
      )
    return tuple(sizes)


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
  """A mesh and the way functions run over it."""

  mesh: Mesh
  mode: str = 'jit'

  @property
  def rows(self) -> int:
    """Parts that a batch is spread in."""
    return self.mesh.shape['data'] * self.mesh.shape['fsdp']

  def __str__(self):
    if self.mesh.size == 1:
      return 'one device'
    sizes = ' x '.join(f'{n} {k}' for k, n in self.mesh.shape.items())
    return f'{self.mesh.size} devices: {sizes}, {self.mode}'

  def sharding(self, *spec) -> NamedSharding:
    return NamedSharding(self.mesh, P(*spec))

  def like(self, init: Callable, *args):
    """The arrays of init(*args) as shapes, and where they are to stay.

    The longest axis that divides is spread over 'fsdp'.
    """

    def one(x):
      sharding = self.sharding(*self._spread(x.shape))
      return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    return jax.tree.map(one, jax.eval_shape(init, *args))

  def whole(self, shapes):
    """`shapes`, each array whole on every device."""
    return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(
        x.shape, x.dtype, sharding=self.sharding()
      ),
      shapes,
    )

  def _spread(self, shape):
    n = self.mesh.shape['fsdp']
    if n > 1 and math.prod(shape) >= SMALL:
      for i in np.argsort(shape, stable=True)[::-1]:
        if shape[i] % n == 0:
          return (*[None] * int(i), 'fsdp')
    return ()

  def born(self, init: Callable, like) -> Callable:
    """init(key) whose arrays come into being where they stay."""
    out = jax.tree.map(lambda x: x.sharding, like)
    return self._here(jax.jit(init, out_shardings=out))

  def everywhere(self, f: Callable) -> Callable:
    """f(x) of arrays wherever they are, the result whole on every device."""
    return self._here(jax.jit(f, out_shardings=self.sharding()))

  def compile(self, f: Callable, like=None, donate: bool = False) -> Callable:
    """f(x, batch, *rest, axis) over the mesh.

    Args:
      f: takes a pytree x, arrays of a batch with rows first, and more. `axis`
        is None if it sees the whole batch, else the name of the axis to sum
        over (`total`). Its results are the same everywhere.
      like: that of x; f then returns (x, other). None: other.
      donate: give up the memory of x.
    """
    donate = dict(donate_argnums=0) if donate else {}
    if self.mode == 'jit':
      whole = self.sharding()
      out = jax.tree.map(lambda x: x.sharding, like)
      out = whole if like is None else (out, whole)
      g = jax.jit(functools.partial(f, axis=None), out_shardings=out, **donate)
      return self._here(lambda x, batch, *rest: g(x, batch, *rest))
    g = functools.cache(
      lambda n: jax.pmap(
        functools.partial(f, axis='data'),
        axis_name='data',
        in_axes=(None, 0, *[None] * n),
        out_axes=None,
        devices=list(self.mesh.devices.flat),
        **donate,
      )
    )
    return lambda x, batch, *rest: g(len(rest))(x, batch, *rest)

  def _here(self, f):
    if self.mesh.size == 1:  # nothing inside asks for it
      return f

    def call(*args):
      with jax.set_mesh(self.mesh):
        return f(*args)

    return call

  def slice(self, rows: int) -> tuple[int, int]:
    """(index, count): this process reads the index-th of count equal parts."""
    if jax.process_count() == 1:
      return 0, 1
    where = self.sharding(BATCH).addressable_devices_indices_map((rows,))
    ranges = {s.indices(rows)[:2] for (s,) in where.values()}
    start, stop = min(ranges)[0], max(ranges)[1]
    size = sum(b - a for a, b in ranges)
    if size == stop - start and rows % size == 0 and start % size == 0:
      return start // size, rows // size
    return 0, 1  # what it needs is not one block: it reads everything

  def put(self, batch, rows: int):
    """This process's rows of a batch of `rows`, as arrays of the whole one."""
    if self.mode == 'pmap':
      n = self.mesh.local_mesh.size
      return jax.tree.map(lambda x: x.reshape(n, -1, *x.shape[1:]), batch)
    if self.mesh.size == 1:
      return batch
    index, count = self.slice(rows)
    first = index * (rows // count)
    sharding = self.sharding(BATCH)

    def one(x):
      def part(where):
        a, b, _ = where[0].indices(rows)
        return x[a - first : b - first]

      shape = (rows, *x.shape[1:])
      return jax.make_array_from_callback(shape, sharding, part)

    return jax.tree.map(one, batch)

  def share(self, batch):
    """A batch that every process has, as one array over the mesh."""
    if self.mesh.size == 1:
      return batch
    sharding = self.sharding(BATCH)
    return jax.make_array_from_callback(
      batch.shape, sharding, lambda where: batch[where]
    )


def layout(settings: Settings, ordered: bool = False) -> Layout:
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
  still has SHORTEST of its tokens.
  """
  n = jax.device_count()
  divisors = [k for k in range(1, n + 1) if n % k == 0]
  seq = next((k for k in divisors if T <= k * tokens), n)
  for k in divisors:
    if k > seq and sequences <= n // k and T >= k * SHORTEST:
      seq = k
  data = n // seq
  if jax.process_count() == 1:  # a smaller mesh, and no empty rows
    data = max(k for k in divisors if data % k == 0 and k <= sequences)
  each = max(1, min(tokens * seq // T, -(-sequences // data)))
  return layout(Settings(data=data, seq=seq), ordered=True), data * each


def total(x, axis: str | None):
  """The sum over all devices of what each has of the batch."""
  return x if axis is None else jax.lax.psum(x, axis)


def key(key, axis: str | None):
  """A key of one's own for every device that draws for its own rows."""
  return (
    key if axis is None else jax.random.fold_in(key, jax.lax.axis_index(axis))
  )


def place(x):
  """x [B, T, ...], its sequences and tokens kept where the mesh has them.

  Without it the compiler may follow the weights' sharding and spread features.
  """
  batch, shards = sequence.axes()
  sizes = jax.sharding.get_abstract_mesh().shape
  if x.shape[0] % math.prod(sizes[name] for name in batch):
    batch = ()
  if not batch and shards == 1:
    return x
  tokens = sequence.SEQUENCE if shards > 1 else None
  return jax.lax.with_sharding_constraint(x, P(batch or None, tokens))


def shards() -> int:
  """Devices that the tokens of a sequence are spread over."""
  return sequence.axes()[1]


def shifted(tokens):
  """Inputs and targets of tokens [B, T + 1], each spread over the mesh."""
  return place(tokens[:, :-1]), place(tokens[:, 1:])


def whole(x):
  """x, gathered from wherever it is spread; its gradient is spread again.

  For a table that is looked up: a gather over a spread axis moves activations.
  """
  mesh = jax.sharding.get_abstract_mesh()
  batch, _ = sequence.axes()
  if mesh.empty or not batch:
    return x
  return jax.lax.with_sharding_constraint(x, P())
