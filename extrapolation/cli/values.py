"""Values as people write them on a command line: numbers, lists, yes or no."""

import re
from decimal import Decimal, DecimalException

LONGEST = 20_000  # characters of a value
SHOWN = 60  # of these, in an error
DIGITS = 40  # of a whole number
YES = ('true', 'yes', 'on', '1', 't', 'y')
NO = ('false', 'no', 'off', '0', 'f', 'n')
BRACKETS = ('()', '[]', '{}')
QUOTES = ('""', "''")


def whole(text: str) -> int:
  """A whole number: `1000`, `1_000`, `1e3`, `1000.0`, `2**10` or `0x3e8`.

  >>> [whole(text) for text in ('1_000', ' 1e3 ', '2**10', '-1')]
  [1000, 1000, 1024, -1]

  Raises:
    ValueError: another text. `16k` is one: 16,000 or 16,384?
  """
  bare = text.strip()
  if power := re.fullmatch(r'([0-9]{1,4})\*\*([0-9]{1,2})', bare):
    return int(power[1]) ** int(power[2])
  if re.fullmatch(r'0[xX][0-9a-fA-F]{1,32}', bare):
    return int(bare, 16)
  try:
    value = _decimal(bare)
    if value.adjusted() < DIGITS and value == int(value):
      return int(value)
  except (ValueError, DecimalException):
    pass
  hint = 'such as 1000, 1_000, 1e3 or 2**10'
  if letter := re.fullmatch(r'([0-9]{1,9})\s*([kKmM])i?', bare):
    a, b = (int(letter[1]) * n for n in (1000, 1024))
    if letter[2] in 'mM':
      a, b = a * 1000, b * 1024
    hint = f'in digits: {a} or {b}'
  elif re.fullmatch(r'[0-9]{1,3}(,[0-9]{3})+', bare):
    hint = f'without commas: {bare.replace(",", "_")}'
  raise ValueError(f'{_shown(text)} is no whole number; write it {hint}')


def real(text: str) -> float:
  """A number: `0.5`, `5e-1`, `1_000`.

  Raises:
    ValueError: another text; whether `inf` is in range, the caller checks.
  """
  try:
    return float(_decimal(text.strip()))
  except (ValueError, DecimalException, OverflowError):
    raise ValueError(
      f'{_shown(text)} is no number; write it such as 0.001 or 1e-3'
    ) from None


def yes(text: str) -> bool:
  """Whether a text is one of YES; the case of its letters does not matter.

  Raises:
    ValueError: it is neither one of YES nor of NO.
  """
  bare = text.strip().lower()
  if bare in YES or bare in NO:
    return bare in YES
  raise ValueError(f'{_shown(text)} is neither true nor false; write one')


def items(text: str, spaces: bool = False) -> tuple[str, ...]:
  """The parts of a list with commas, in brackets and quotes or without.

  `spaces` may separate as well, as in a list of numbers.

  >>> items('[16, 32]'), items('16,'), items('("a b", c)'), items('()')
  (('16', '32'), ('16',), ('a b', 'c'), ())

  Raises:
    ValueError: a bracket without its other half, or a part that is empty.
  """
  if len(text) > LONGEST:
    raise ValueError(f'{_shown(text)}: at most {LONGEST} characters')
  bare = text.strip()
  if bare[:1] + bare[-1:] in BRACKETS:
    bare = bare[1:-1].strip()
  if spaces:
    if any(letter in bare for letter in '()[]{}'):
      raise ValueError(f'{_shown(text)} is no list; {_how(spaces)}')
    bare = re.sub(r'(?<=[^\s,])\s+(?=[^\s,])', ',', bare)
  if not bare:
    return ()
  parts = [part.strip() for part in bare.removesuffix(',').split(',')]
  parts = [p[1:-1] if p[:1] + p[-1:] in QUOTES else p for p in parts]
  if '' in parts:
    raise ValueError(f'{_shown(text)} is no list; {_how(spaces)}')
  return tuple(parts)


def wholes(text: str) -> tuple[int, ...]:
  """Whole numbers: `16,32`, `[16, 32]`, `(16, 32)`, `16 32`, `16,` or `16`.

  Raises:
    ValueError: as `items` and `whole`.
  """
  return tuple(whole(part) for part in items(text, spaces=True))


def reals(text: str) -> tuple[float, ...]:
  """Numbers, as `wholes`."""
  return tuple(real(part) for part in items(text, spaces=True))


def _how(numbers: bool) -> str:
  return f'write it as {"16,32 or [16, 32]" if numbers else "a,b or [a, b]"}'


def _decimal(text: str) -> Decimal:
  if len(text) > LONGEST or not text.isascii():
    raise ValueError
  return Decimal(text)


def _shown(text: str) -> str:
  return repr(text if len(text) <= SHOWN else f'{text[:SHOWN]}...')
