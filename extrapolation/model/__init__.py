"""The transformer, its layers, its loss and its decoder."""

from extrapolation.model.decoder import (
  Stream,
  check_length,
  rotated_alike,
)
from extrapolation.model.model import Model, computed_as, make, unrolled
from extrapolation.model.network import (
  Network,
  for_length,
  logits,
  token_nll,
)
from extrapolation.model.sampling import Sampling
from extrapolation.model.space import Space

__all__ = [
  'Model',
  'Network',
  'Sampling',
  'Space',
  'Stream',
  'check_length',
  'computed_as',
  'for_length',
  'logits',
  'make',
  'rotated_alike',
  'token_nll',
  'unrolled',
]
