"""What a law misses by on what it was not fitted on: encoding, corpus, size."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence

from extrapolation.predict.outcome import Outcome

KINDS = 'encoding', 'corpus', 'size'

Fit = Callable[[Sequence[Outcome]], Callable[[float], float]]


@dataclasses.dataclass(frozen=True)
class Error:
  """Misses in nats, each the largest over studies and lengths of an encoding.

  Attributes:
    groups: how many were left out, one after the other.
    median: over encodings.
    worst: of them.
    of: the worst encoding, and what was left out.
  """

  groups: int
  median: float
  worst: float
  of: str


def by_curve(
  outcomes: Sequence[Outcome],
) -> dict[tuple[str, str, int], list[Outcome]]:
  """The seeds of each (study, encoding, length)."""
  out: dict[tuple[str, str, int], list[Outcome]] = {}
  for one in outcomes:
    key = one.study, one.encoding, one.length
    out.setdefault(key, []).append(one)
  return out


def error(outcomes: Sequence[Outcome], kind: str, fit: Fit) -> Error:
  """The error of laws that are fitted without one group after the other.

  Args:
    kind: 'encoding', 'corpus' or 'size', which makes the groups.

  Raises:
    ValueError: fewer than two groups, in one line.
  """
  groups = list(dict.fromkeys(getattr(one, kind) for one in outcomes))
  if len(groups) < 2:
    there = ', '.join(groups) or 'none'
    raise ValueError(
      f'leaving one {kind} out takes 2 or more; there is {len(groups)} '
      f'({there})'
    )
  misses: dict[str, float] = {}
  for group in groups:
    law = fit([one for one in outcomes if getattr(one, kind) != group])
    rest = [one for one in outcomes if getattr(one, kind) == group]
    for (_, encoding, _), own in by_curve(rest).items():
      name = encoding if kind == 'encoding' else f'{encoding}, without {group}'
      measured = statistics.median(one.nats for one in own)
      miss = abs(measured - law(own[0].far_mass))
      misses[name] = max(misses.get(name, 0.0), miss)
  of = max(misses, key=lambda name: misses[name])
  return Error(len(groups), statistics.median(misses.values()), misses[of], of)


def errors(outcomes: Sequence[Outcome], fit: Fit) -> dict[str, dict | str]:
  """That of each kind, or why there is none."""
  out: dict[str, dict | str] = {}
  for i, kind in enumerate(KINDS):
    alike = [k for k in KINDS[:i] if _alike(outcomes, k, kind)]
    try:
      if alike:
        raise ValueError(
          f'one {kind} left out: the same, as each {alike[0]} is of another '
          f'{kind}'
        )
      out[kind] = dataclasses.asdict(error(outcomes, kind, fit))
    except ValueError as e:
      out[kind] = str(e)
  return out


def _alike(outcomes: Sequence[Outcome], kind: str, other: str) -> bool:
  """Whether two kinds make the same groups."""
  pairs = {(getattr(one, kind), getattr(one, other)) for one in outcomes}
  sizes = [len({pair[i] for pair in pairs}) for i in (0, 1)]
  return sizes == [len(pairs)] * 2
