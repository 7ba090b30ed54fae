"""Truth values that may not be known: True, False or None."""

Truth = bool | None


def all_of(*args: Truth) -> Truth:
  """Conjunction: known where one is False, or all are known."""
  return False if False in args else None if None in args else True


def any_of(*args: Truth) -> Truth:
  """Disjunction: known where one is True, or all are known."""
  return True if True in args else None if None in args else False


def negation(x: Truth) -> Truth:
  """Not x."""
  return None if x is None else not x
