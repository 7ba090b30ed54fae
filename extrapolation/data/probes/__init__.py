"""Probes, one file each: examples with exact answers, drawn from a seed.

A file `extrapolation/data/probes/NAME.py` with a function `make(**hyper) ->
Probe` is a probe called NAME, `--config.data.source=probe:NAME:KEY=VALUE..`.
"""

from extrapolation import rpe
from extrapolation.data.probes.base import Example, Probe, example, generator
from extrapolation.data.probes.vocabulary import Vocabulary
from extrapolation.parts import Registry

__all__ = [
  'PREFIX',
  'REGISTRY',
  'Example',
  'Probe',
  'Vocabulary',
  'defaults',
  'example',
  'generator',
  'get',
  'names',
  'parse',
]

PREFIX = 'probe:'  # of its source

REGISTRY = Registry(
  __name__, 'probe', 'Probe', others=('base', 'vocabulary'), given=()
)
names = REGISTRY.names
defaults = REGISTRY.defaults
get = REGISTRY.get


def parse(source: str) -> Probe:
  """The probe of a source `probe:NAME[:KEY=VALUE..]`, or without `probe:`.

  >>> parse('probe:needle:values=4').label
  'needle:values=4'

  Raises:
    ValueError: no such probe or hyperparameter, or a value that it cannot take.
  """
  name, written = rpe.parse_kernel(source.removeprefix(PREFIX))
  hyper = rpe.typed(name, written, defaults(name), 'probe')
  return get(name, **hyper).labelled(REGISTRY.label(name, hyper))
