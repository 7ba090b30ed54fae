"""The transformer, its layers, its loss and its decoder."""

from extrapolation.model.decoder import Stream, check_length
from extrapolation.model.model import Model, make, unrolled
from extrapolation.model.network import (
  Network,
  for_length,
  logits,
  token_nll,
)
from extrapolation.model.sampling import Sampling

__all__ = [
  'Model',
  'Network',
  'Sampling',
  'Stream',
  'check_length',
  'for_length',
  'logits',
  'make',
  'token_nll',
  'unrolled',
]
