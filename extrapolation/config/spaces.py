"""What a model of other kinds than a decoder can be, and the sizes it reads."""

import dataclasses
import math
from typing import TYPE_CHECKING

from extrapolation import geometry, rpe
from extrapolation.config import sizes
from extrapolation.geometry import Geometry, Size, derived

if TYPE_CHECKING:
  from extrapolation.config.sections import Eval, Model, Network, Train

KINDS = ('decoder', 'encoder', 'encoder_decoder')
CLOCKS = ('none', 'forward', 'backward')
POOLS = ('', 'mean', 'cls')
# Keys of a network that are of encoders, and what they are without one.
OF_ENCODERS = dict(geometry='line', cross='none', patch=0, pool='', table='')


def check_network(c: 'Network') -> None:
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
  if g.sees is not None and c.geometry == 'line':
    raise ValueError(
      'model.geometry = line is causal, which model.kind=decoder is for; an '
      'encoder has both, grid, tree or graph'
    )
  if g.name == 'cross':
    raise ValueError(
      'model.geometry = cross is between two texts: model.kind=encoder_decoder '
      'with model.cross=forward or backward'
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


def encoder_of(c: 'Network') -> 'Network':
  """The encoder that an encoder-decoder reads, of the same sizes."""
  changes = dict(kind='encoder', geometry='both', cross='none')
  return dataclasses.replace(c, **changes)


def of(c: 'Network') -> Geometry:
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
    ('heat', encoding.heat.is_one),
    ('score', encoding.score.is_plain),
  ):
    if not is_default:
      raise ValueError(
        f'model.rpe = {name}: its {part} reads a causal line of tokens, and '
        f'{where} is none; take a kernel alone, or model.kind=decoder'
      )
  beside = encoding.beside_bias
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
  if encoding.directed:
    derived.directed(g)


def check_model(c: 'Model') -> None:
  """Raises ValueError where an encoding needs a line, and there is none."""
  if c.kind == 'decoder':
    return
  g = of(c) if c.kind == 'encoder' else geometry.parse('both')
  for encoding in rpe.layers(c.rpe, c.H, **c.rpe_args):
    check_encoding(encoding, g, c.D // c.H)
    if c.kind == 'encoder_decoder' and encoding.beside_bias:
      raise ValueError(
        f'model.rpe = {encoding.name}: its {encoding.beside_bias} knows no '
        'clock of two texts; model.kind=encoder_decoder takes a bias alone'
      )


def check_sizes(c: 'Model', train: 'Train', e: 'Eval') -> int:
  """The positions of a training example; train.T of a decoder.

  Raises:
    ValueError: a size that the geometry does not have, or is missing.
  """
  if c.kind == 'decoder':
    for key, value in (('train.size', train.size), ('eval.sizes', e.sizes)):
      if value:
        raise ValueError(
          f'{key} = {sizes.shown(value)} is of encoders; of a decoder give '
          'train.T and eval.lengths, in tokens'
        )
    return train.T
  if not train.size:
    raise ValueError(
      f'model.kind = {c.kind} needs train.size, such as 16x32 of a grid'
    )
  for text in e.sizes:
    positions(c, text, 'eval.sizes')
  return positions(c, train.size, 'train.size')


def evaluated(c: 'Model', train: 'Train', e: 'Eval') -> 'Eval':
  """The section `eval` with all sizes, and their positions as lengths."""
  if e.probe:
    raise ValueError(
      f'eval.probe = {e.probe} asks a decoder for a token that it has read; '
      f"of model.kind = {c.kind} leave it as it is, ''"
    )
  texts = e.sizes or (train.size,)
  lengths = tuple(positions(c, text, 'eval.sizes') for text in texts)
  if len({*texts}) < len(texts):
    raise ValueError(f'eval.sizes = {", ".join(texts)}: one is there twice')
  return dataclasses.replace(e, sizes=texts, lengths=lengths)


def size(c: 'Network', text: str, key: str = 'size') -> Size:
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


def places(c: 'Network', size: Size) -> Size:
  """The size in positions of the network: in patches, if there are."""
  return tuple(n // c.patch for n in size) if c.patch else size


def cells(c: 'Network', text: str) -> int:
  """How many ids are read at a size: one per position, or all of a patch."""
  return positions(c, text) * max(c.patch, 1) ** 2


def positions(c: 'Network', text: str, key: str = 'size') -> int:
  """How many a size has."""
  inner = places(c, size(c, text, key))
  if c.kind != 'encoder':
    return inner[0]
  g = of(c)
  if g.shift_invariant:
    return math.prod(inner)
  return len(g.places(inner))
