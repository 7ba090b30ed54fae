"""Names of the mesh's axes, and which of them are in use here."""

import jax
from jax.sharding import AxisType

BATCH, SEQUENCE = ('data', 'fsdp'), 'seq'


def in_use() -> tuple[tuple[str, ...], int]:
  """Batch axes of the mesh in use and the size of its sequence axis.

  Axes of size 1, and those that an enclosing shard_map has taken over, do not
  count.

  Raises:
    ValueError: an Explicit axis.
  """
  kinds = free()
  explicit = [name for name in (*BATCH, SEQUENCE)
              if kinds.get(name) == AxisType.Explicit]  # fmt: skip
  sizes = jax.sharding.get_abstract_mesh().shape
  if any(sizes[name] > 1 for name in explicit):
    raise ValueError(
      f'mesh axes {explicit} are Explicit: attention divides the work of Auto '
      'axes; make the mesh with axis_types=(jax.sharding.AxisType.Auto,) * n'
    )
  size = {name: sizes[name] for name in kinds}
  batch = tuple(name for name in BATCH if size.get(name, 1) > 1)
  return batch, size.get(SEQUENCE, 1)


def free() -> dict[str, AxisType]:
  """Axes of the mesh in use that no enclosing shard_map has taken over."""
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty:
    return {}
  kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
  return {name: kind for name, kind in kinds if kind != AxisType.Manual}
