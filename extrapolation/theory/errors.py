"""Every exception of theory.

What a caller may see is a `TheoryError`: a ValueError, one line for the user.
The `Needs..` are signals between its parts and never leave it.
"""


class TheoryError(ValueError):
  """A subject that theory cannot answer for; the message says why."""


class FormulaError(TheoryError):
  """Text that is not a formula, or one without a value."""


class UnreadableBias(TheoryError):
  """A function that is not a readable function of the distance alone."""


class UndefinedWeight(TheoryError):
  """The weight is not a real number at large distances."""


class UndefinedTotal(TheoryError):
  """No positive finite total: an infinite or undefined weight, or all zero."""


class NotProved(TheoryError):
  """No proof either way with the precision or the rules at hand."""


class NotJudged(NotProved):
  """Order enters beside the weights, so that they decide nothing."""


class NeedsCaseSplit(Exception):
  """The sign of `expression` decides; the caller tries +, 0 and -."""

  def __init__(self, expression: object):
    super().__init__(str(expression))
    self.expression = expression


class NeedsPrecision(Exception):
  """More terms, or a larger threshold, are needed."""


class Unsettled(Exception):
  """An operation without a value, which counts only where it is selected."""


class NeedsSmallerBlock(Unsettled):
  """A case is not settled over a block of distances: cut it."""
