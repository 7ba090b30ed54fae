"""How far a prediction is from what the law was fitted on, and what that costs.

No law can promise anything there. Each doubling beyond the range adds a quarter
of the half-width to an interval, a change of kind the whole of it. That is an
assumption, which is said with the prediction; over the doublings that recorded
studies span, errors did not grow (`Law.errors`).
"""

import math
from collections.abc import Mapping
from typing import Any

from extrapolation import config
from extrapolation.predict import study
from extrapolation.predict.weights import Weights

DOUBLING = 0.25  # half-widths, for each doubling outside of a range
KIND = 1.0  # for a change of kind

RANGES = dict(
  parameters='parameters',
  train_length='tokens of training length',
  train_tokens='tokens trained on',
)


def model(seen: Mapping[str, Any], e: config.Experiment) -> dict[str, float]:
  """{what the law has not seen of a model and its text: half-widths}.

  A corpus that is new adds nothing: what that costs, the law says as its error
  with one corpus left out.
  """
  out = {}
  for key, value in study.sizes(e).items():
    low, high = seen[key]
    doublings = max(math.log2(low / value), math.log2(value / high), 0.0)
    if doublings:
      why = f'{value:,} {RANGES[key]} ({low:,} to {high:,} were fitted)'
      out[why] = DOUBLING * doublings
  if e.data.tokenizer not in seen['tokenizers']:
    known = ', '.join(seen['tokenizers'])
    out[f'tokenizer {e.data.tokenizer} ({known} was fitted)'] = KIND
  return out


def length(seen: Mapping[str, Any], ratio: float, F: float) -> dict[str, float]:
  """The same of a length, as N / L and far mass."""
  out = {}
  if ratio > seen['ratio']:
    why = f'more than {seen["ratio"]:g} times the training length'
    out[why] = DOUBLING * math.log2(ratio / seen['ratio'])
  if F > seen['far_mass']:
    why = f'far mass above {seen["far_mass"]:.2f}'
    out[why] = DOUBLING * math.log2((1 - seen['far_mass']) / (1 - F))
  return out


def weights(of: Weights, learned_factor: float) -> dict[str, float]:
  """The same of an encoding."""
  out = {}
  if of.learned:
    out['learned weights, from initial values'] = learned_factor - 1
  if of.mixed:
    out['several encodings in one model'] = KIND
  return out
