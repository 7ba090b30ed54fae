"""The transformer, its layers, its loss and its decoder."""

from extrapolation.model.decoder import (
  Stream,
  check_length,
  rotated_alike,
)
from extrapolation.model.network import (
  Model,
  Network,
  computed_as,
  for_length,
  logits,
  make,
  token_nll,
  unrolled,
)
from extrapolation.model.sampling import Sampling

__all__ = [
  'Model',
  'Network',
  'Sampling',
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
