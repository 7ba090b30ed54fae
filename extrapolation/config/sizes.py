"""How large the numbers of a config may be: what is larger is a mistake.

Found before anything is computed or allocated. The limits are far above what
any machine does, so that none stands in the way of a real run.
"""

import math
import reprlib
from typing import Any

TOKENS = 1 << 26  # of a sequence
STEPS = (1 << 31) - 1  # the optimiser counts in int32
TEXT = 1 << 40  # tokens
PARAMETERS = 10**12
PER_STEP = 1 << 32  # tokens

MOST = {
  'seed': (1 << 32) - 1,
  'data.vocab': 1 << 22,
  'model.N': 4096,
  'model.D': 1 << 17,
  'model.H': 4096,
  'model.F': 1 << 20,
  'model.patch': 1 << 12,
  'optim.warmup': STEPS,
  'train.T': TOKENS,
  'train.B': 1 << 24,
  'train.accumulate': 1 << 24,
  'train.steps': STEPS,
  'train.log_every': STEPS,
  'train.valid_every': STEPS,
  'train.valid_tokens': TEXT,
  'train.checkpoint_every': STEPS,
  'train.keep': STEPS,
  'train.keep_every': STEPS,
  'parallel.data': 1 << 20,
  'parallel.fsdp': 1 << 20,
  'parallel.seq': 1 << 20,
  'eval.lengths': TOKENS,
  'eval.tokens': TEXT,
  'eval.batch_tokens': 1 << 31,
  'sweep.seeds': (1 << 32) - 1,
}
ITEMS = 4096  # of a list
HYPERPARAMETER = 1 << 24  # an integer of an encoding

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = 8


def shown(value: Any) -> str:
  """A value as an error names it: in one line, and not of any length."""
  try:
    text = _REPR.repr(value)
  except (ValueError, RecursionError):  # an integer of thousands of digits
    text = f'a value of type {type(value).__name__} too large to show'
  return ' '.join(text.split())


def check(key: str, value: Any, least: float = 0) -> None:
  """Raises ValueError unless `value` is an int between `least` and MOST."""
  if type(value) is not int:
    raise ValueError(f'{key} = {shown(value)}: needs an integer')
  if value < least:
    raise ValueError(f'{key} = {shown(value)}: needs >= {least}')
  if value > MOST[key]:
    raise ValueError(f'{key} = {shown(value)}: needs <= {MOST[key]}')


def check_list(key: str, values: tuple, least: int) -> None:
  """Raises ValueError unless `values` are integers in range, and not many."""
  if len(values) > ITEMS:
    raise ValueError(f'{key}: {len(values)} values; needs at most {ITEMS}')
  for value in values:
    check(key, value, least)


def check_like(key: str, value: Any, default: Any) -> None:
  """Raises ValueError unless `value` is a number of the kind of `default`."""
  if type(default) is int:
    if type(value) is not int or abs(value) > HYPERPARAMETER:
      raise ValueError(
        f'{key} = {shown(value)}: needs an integer of at most {HYPERPARAMETER}'
      )
  elif type(default) is float:
    largest = 1e30  # of a float32, and something left to calculate with
    if type(value) not in (int, float) or not abs(value) <= largest:
      raise ValueError(
        f'{key} = {shown(value)}: needs a number of at most {largest:g}'
      )
  elif type(value) is not type(default):
    raise ValueError(
      f'{key} = {shown(value)}: needs {type(default).__name__}, such as '
      f'{default!r}'
    )


def check_products(N: int, D: int, F: int, V: int, B: int, T: int) -> None:
  """Raises ValueError for a model or a step that no machine can hold."""
  parameters = N * (4 * D * D + 2 * D * F) + V * D
  if parameters > PARAMETERS:
    raise ValueError(
      f'model.N = {N}, model.D = {D}, model.F = {F} are about '
      f'10^{math.log10(parameters):.0f} parameters: needs <= {PARAMETERS}'
    )
  if B * T > PER_STEP:
    raise ValueError(
      f'train.B = {B} sequences of train.T = {T} tokens in a step: needs '
      f'<= {PER_STEP} tokens'
    )
