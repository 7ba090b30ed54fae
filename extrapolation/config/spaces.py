"""What a model of other kinds than a decoder can be, and the sizes it reads."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from extrapolation import geometry, rpe
from extrapolation.config import sizes
from extrapolation.geometry import Geometry, Size, derived

KINDS = ('decoder', 'encoder', 'encoder_decoder')
CLOCKS = ('none', 'forward', 'backward')
POOLS = ('', 'mean', 'cls')
# Keys of a network that are of encoders, and what they are without one.
OF_ENCODERS = dict(geometry='line', cross='none', patch=0, pool='', table='')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Space:
  """What a network reads: the part of section `model` that is of places."""

  kind: str = 'decoder'  # decoder | encoder | encoder_decoder
  # Of an encoder: both | grid[:AXES] | tree:R | graph:FILE, see `geometry`.
  geometry: str = 'line'
  # Of an encoder-decoder, the clock of the bias across: none | forward |
  # backward, on which what is read last is written first.
  cross: str = 'none'
  patch: int = 0  # cells along a side, read as numbers; 0 reads one id a place
  pool: str = ''  # of a classifier: mean | cls
  table: str = ''  # size of a learned table of places, resized to other sizes

  def __post_init__(self):
    check_keys(self)


def check_keys(c: Space) -> None:
  """Raises ValueError where the keys of a kind do not fit each other."""
  for key, value, allowed in (
    ('kind', c.kind, KINDS),
    ('cross', c.cross, CLOCKS),
    ('pool', c.pool, POOLS),
  ):
    if value not in allowed:
      shown = ', '.join(x or "''" for x in allowed)
      raise ValueError(
        f'model.{key} = {sizes.shown(value)}; there are: {shown}'
      )
  only = dict(
    decoder=(),
    encoder=('geometry', 'patch', 'pool', 'table'),
    encoder_decoder=('cross',),
  )[c.kind]
  for key, default in OF_ENCODERS.items():
    value = getattr(c, key)
    if value != default and key not in only:
      kinds = 'encoder_decoder' if key == 'cross' else 'encoder'
      raise ValueError(
        f'model.{key} = {sizes.shown(value)} is for model.kind={kinds}, and '
        f'this is {c.kind}'
      )
  sizes.check('model.patch', c.patch)
  if c.kind != 'encoder':
    return
  g = of(c)
  if g.sees is not None and g.signed is not None:
    raise ValueError(
      f'model.geometry = {c.geometry} is causal, which model.kind=decoder is '
      'for; an encoder has both, grid, tree or graph'
    )
  if g.key_places is not None:
    raise ValueError(
      f'model.geometry = {c.geometry} is between two texts: '
      'model.kind=encoder_decoder with model.cross=forward or backward'
    )
  if c.patch and not (g.shift_invariant and len(g.axes) == 2):
    raise ValueError(
      f'model.patch = {c.patch}: patches are of pictures, model.geometry=grid, '
      f'and this is {c.geometry}'
    )
  if c.table:
    geometry.sizes.parse(c.table, g, 'model.table')
    if not g.shift_invariant:
      raise ValueError(
        f'model.table = {c.table}: a table is resized along coordinates, which '
        f'model.geometry = {c.geometry} does not have'
      )


# What the encoder that an encoder-decoder reads has otherwise.
OF_ENCODER = dict(kind='encoder', geometry='both', cross='none')


def of(c: Space) -> Geometry:
  """The geometry of a network.

  Raises:
    ValueError: there is no such geometry.
  """
  return geometry.parse(c.geometry)


def check_encoding(encoding: rpe.RPE, g: Geometry, K: int) -> None:
  """Raises ValueError, in one line, where an encoding needs a line.

  Args:
    encoding: of one layer.
    g: the geometry of an encoder.
    K: head width.
  """
  name, where = encoding.name, f'geometry {g.label or g.name}'
  for part, is_default in (
    ('clock', encoding.clock.is_index),
    ('score', encoding.score.is_plain),
  ):
    if not is_default:
      raise ValueError(
        f'model.rpe = {name}: its {part} reads a causal line of tokens, and '
        f'{where} is none; take a kernel alone, or model.kind=decoder'
      )
  if np.any(encoding.heat.whole) and (encoding.heat.content or g.sees):
    why = (
      'its scale is of the content of each query'
      if encoding.heat.content
      else 'its queries do not all see as many keys'
    )
    raise ValueError(
      f'model.rpe = {name}: a heat of the bias too (whole=true) is one number '
      f'for all queries of {where}, and {why}; take whole=false'
    )
  beside = ' and '.join(encoding.of_positions)
  if beside and not g.shift_invariant:
    raise ValueError(
      f'model.rpe = {name}: its {beside} needs coordinates, and {where} has '
      'distances alone; take an encoding that is a bias, or another geometry'
    )
  axes = len(g.axes)
  if 'embed' in beside and axes > 1:
    raise ValueError(
      f'model.rpe = {name} is absolute on one axis, and {where} has {axes}; '
      'take a bias, or a learned table (model.table)'
    )
  if 'rotate' in beside and axes > 1 and K % (2 * axes):
    raise ValueError(
      f'model.rpe = {name} turns a share of the head width per axis: '
      f'{K} = model.D / model.H must be a multiple of {2 * axes}'
    )
  if encoding.causal:
    raise ValueError(
      f'model.rpe = {name} is of keys behind a query alone, and {where} has '
      'keys ahead; take rotary or a bias, or model.kind=decoder'
    )
  if encoding.directed:
    derived.directed(g)


def check_encodings(
  c: Space, layers: Sequence[rpe.RPE], head_width: int
) -> None:
  """Raises ValueError where an encoding needs a line, and there is none."""
  if c.kind == 'decoder':
    return
  g = of(c) if c.kind == 'encoder' else geometry.parse('both')
  for encoding in layers:
    check_encoding(encoding, g, head_width)
    if c.kind == 'encoder_decoder' and encoding.of_positions:
      raise ValueError(
        f'model.rpe = {encoding.name}: its {encoding.of_positions[0]} knows no '
        'clock of two texts; model.kind=encoder_decoder takes a bias alone'
      )


def lengths(
  c: Space, size: str, sizes: tuple[str, ...], probe: str
) -> tuple[int, tuple[int, ...]]:
  """Positions of a training example, and of those of an evaluation.

  Args:
    size, sizes: `train.size` and `eval.sizes`, of which there is one or more.
    probe: `eval.probe`.

  Raises:
    ValueError: a size that the geometry does not have, or is missing.
  """
  if not size:
    raise ValueError(
      f'model.kind = {c.kind} needs train.size, such as 16x32 of a grid'
    )
  if probe:
    raise ValueError(
      f'eval.probe = {probe} asks a decoder for a token that it has read; '
      f"of model.kind = {c.kind} leave it as it is, ''"
    )
  if len({*sizes}) < len(sizes):
    raise ValueError(f'eval.sizes = {", ".join(sizes)}: one is there twice')
  of_training = positions(c, size, 'train.size')
  return of_training, tuple(positions(c, x, 'eval.sizes') for x in sizes)


def check_none(train_size: str, eval_sizes: tuple[str, ...]) -> None:
  """Raises ValueError for a size of a decoder, which has lengths."""
  for key, value in (('train.size', train_size), ('eval.sizes', eval_sizes)):
    if value:
      raise ValueError(
        f'{key} = {sizes.shown(value)} is of encoders; of a decoder give '
        'train.T and eval.lengths, in tokens'
      )


def size(c: Space, text: str, key: str = 'size') -> Size:
  """The size of the cells that are read, before patches.

  Raises:
    ValueError: not of this geometry, or no whole number of patches.
  """
  g = of(c) if c.kind == 'encoder' else geometry.parse('both')
  out = geometry.sizes.parse(text, g, key)
  if c.patch and any(n % c.patch for n in out):
    raise ValueError(
      f'{key} = {text}: no whole number of patches of model.patch = {c.patch}'
    )
  return out


def places(c: Space, size: Size) -> Size:
  """The size in positions of the network: in patches, if there are."""
  return tuple(n // c.patch for n in size) if c.patch else size


def cells(c: Space, text: str) -> int:
  """How many ids are read at a size: one per position, or all of a patch."""
  return positions(c, text) * max(c.patch, 1) ** 2


def positions(c: Space, text: str, key: str = 'size') -> int:
  """How many a size has."""
  inner = places(c, size(c, text, key))
  if c.kind != 'encoder':
    return inner[0]
  g = of(c)
  if g.shift_invariant:
    return math.prod(inner)
  return len(g.places(inner))
