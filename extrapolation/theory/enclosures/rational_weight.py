r"""Weights that are rational, or rational times a root or a power of e.

exp b with b = r + sum c_i log q_i, all numbers rational, is
prod q_i^floor(c_i) times e^r prod q_i^(c_i - floor(c_i)): a fraction times a
key. Two sums that agree for every key are equal, which no ball can prove.
"""

from typing import Any

from flint import arb, fmpq

from extrapolation.theory.enclosures.ball import MOST_BITS, Balls, Program

LONGEST = 1 << 15  # weights: fractions of harmonic sums grow with them


class NotRational(Exception):
  """A number outside r + sum c log q."""


class Logs:
  """r + sum c log q, as {q: c} with the key None for r."""

  def __init__(self, parts: dict):
    self.parts = {k: v for k, v in parts.items() if v != 0}


def _parts(x: Any) -> dict:
  if isinstance(x, Logs):
    return x.parts
  if isinstance(x, fmpq):
    return {None: x}
  raise NotRational


class Rules:
  """Rules for exact numbers: those of `Balls`, and logarithms kept as such."""

  @staticmethod
  def add(data: tuple, *args: Any):
    shift, coefficients = data
    if any(isinstance(x, arb) for x in args):  # only -inf is let through
      return Balls.add(data, *(0 if isinstance(x, Logs) else x for x in args))
    total = {None: shift}
    for c, x in zip(coefficients, args, strict=True):
      for key, value in _parts(x).items():
        total[key] = total.get(key, fmpq(0)) + c * value
    out = Logs(total)
    return out.parts.get(None, fmpq(0)) if not set(out.parts) - {None} else out

  @staticmethod
  def mul(x: Any, y: Any):
    if isinstance(x, fmpq) and isinstance(y, fmpq):
      return Balls.mul(x, y)
    if isinstance(x, Logs) and isinstance(y, fmpq):
      x, y = y, x
    if not isinstance(x, fmpq):
      raise NotRational
    return Logs({k: x * v for k, v in _parts(y).items()})

  @staticmethod
  def log(x: Any):
    if isinstance(x, fmpq) and x > 0:
      return Logs({x: fmpq(1)}) if x != 1 else fmpq(0)
    return _exactly('log', x)

  @staticmethod
  def exp(x: Any):
    factor, key = weight(x)
    if key:
      raise NotRational
    return factor


def _exactly(op: str, *args: Any):
  """A rule of `Balls` whose result is exact."""
  out = getattr(Balls, op)(*args)
  if isinstance(out, arb) and not (out == arb.neg_inf()):
    raise NotRational
  return out


def _plain(op: str):
  def rule(*args: Any):
    if op not in ('select', 'table') and any(isinstance(x, Logs) for x in args):
      raise NotRational
    if op in ('const', 'nan', 'inf', 'select', 'table'):
      return getattr(Balls, op)(*args)
    return _exactly(op, *args)

  return staticmethod(rule)


for _name in ('const', 'inf', 'nan', 'whole', 'sin', 'cos', 'erf', 'atan',
              'lgamma', 'floor', 'sign', 'max', 'min', 'abs', 'pow', 'lt', 'le',
              'eq', 'or', 'and', 'not', 'select', 'table'):  # fmt: skip
  setattr(Rules, _name, _plain(_name))


def weight(b: Any) -> tuple[fmpq, frozenset]:
  """exp b as a fraction and the key of what is not rational in it."""
  if isinstance(b, arb):
    if b == arb.neg_inf():
      return fmpq(0), frozenset()
    raise NotRational
  factor, key = fmpq(1), {}
  for q, c in _parts(b).items():
    n = fmpq(c.floor()) if q is not None else fmpq(0)
    if abs(n) * (1 if q is None else q.p.bit_length()) > MOST_BITS:
      raise NotRational
    if q is not None:
      factor *= q ** int(n.p)
    if c != n:
      key[q] = c - n
  return factor, frozenset(key.items())


def weights(program: Program, n: int) -> list[tuple[fmpq, frozenset]] | None:
  """The weights at t < n, or None where they are not of this form."""
  if n > LONGEST:
    return None
  try:
    return [weight(program(fmpq(t), Rules)) for t in range(n)]
  except NotRational:
    return None
