"""How far a prediction is from what the law was fitted on, and what that costs.

No law can promise anything there. Each doubling beyond the range adds one
half-width to the interval, a change of kind doubles it: an assumption, which
is said with the prediction.
"""

import math
from collections.abc import Mapping
from typing import Any

from extrapolation import config
from extrapolation.prediction import study
from extrapolation.prediction.weights import Weights

KIND = 2.0  # factor of the half-width for a change of kind


def model(seen: Mapping[str, Any], e: config.Experiment) -> dict[str, float]:
  """{what the law has not seen of a model and its text: factor}.

  A corpus that is new widens nothing: what that costs, the law says as its
  error with one corpus left out.
  """
  out = {}
  for key, value, unit in (
    ('parameters', study.parameters(e.model), 'parameters'),
    ('train_length', e.train.T, 'tokens of training length'),
  ):
    low, high = seen[key]
    doublings = max(math.log2(low / value), math.log2(value / high), 0.0)
    if doublings:
      out[f'{value:,} {unit} ({low:,} to {high:,} were fitted)'] = 1 + doublings
  if e.data.tokenizer not in seen['tokenizers']:
    known = ', '.join(seen['tokenizers'])
    out[f'tokenizer {e.data.tokenizer} ({known})'] = KIND
  return out


def length(seen: Mapping[str, Any], ratio: float, F: float) -> dict[str, float]:
  """The same of a length, as N / L and far mass."""
  out = {}
  if ratio > seen['ratio']:
    doublings = math.log2(ratio / seen['ratio'])
    out[f'more than {seen["ratio"]:g} times the training length'] = (
      1 + doublings
    )
  if F > seen['far_mass']:
    doublings = math.log2((1 - seen['far_mass']) / (1 - F))
    out[f'far mass above {seen["far_mass"]:.2f}'] = 1 + doublings
  return out


def weights(of: Weights, learned_factor: float) -> dict[str, float]:
  """The same of an encoding."""
  out = {}
  if of.learned:
    out['learned weights, from initial values'] = learned_factor
  if of.mixed:
    out['several encodings in one model'] = KIND
  return out
