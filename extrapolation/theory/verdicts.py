"""What is said of the attention of a head: tight, or not, and why."""

import dataclasses
from collections.abc import Mapping

from extrapolation.theory.convergence import Verdict

TIGHT, NOT, IF, UNKNOWN = 'tight', 'not tight', 'conditional', 'unknown'
NOT_JUDGED = 'not judged'
OF_SUM = dict(converges=TIGHT, diverges=NOT, conditional=IF, unknown=UNKNOWN)
OUTWARD = 1e-5  # of rates, which are computed in float32


@dataclasses.dataclass(frozen=True)
class Tightness:
  """What is known of one head, or of several together.

  Attributes:
    verdict: 'tight', 'not tight', 'conditional', 'unknown' or 'not judged'.
    condition: of 'conditional'.
    argument: the theorem with what it was applied to, or what was missing.
    window: by eps, keys that leave out at most eps of the mass at every query
      where logits say nothing; {} where none is computed.
  """

  verdict: str
  condition: str | None
  argument: str
  window: Mapping[str, int] = dataclasses.field(default_factory=dict)


def of_sum(verdict: Verdict) -> Tightness:
  """Without clock and heat: a convergent sum, and nothing else."""
  word = OF_SUM.get(verdict.verdict, verdict.verdict)
  return Tightness(word, verdict.condition, verdict.argument)


def unknown(missing: str) -> Tightness:
  """No answer, for want of something."""
  return Tightness(UNKNOWN, None, f'not known: {missing}')
