"""What can be known of an encoding before any training.

  verdict   does the sum of the weights converge: a proof, head by head
  trf       the theoretical receptive field, as integer brackets
  window    the smallest window for a wanted error of attention
  coverage  receptive field of measured weights, by the same definition

`python -m extrapolation.theory --help` is the same from the command line.
Nothing here imports Flax; sympy and jax are imported on first use.
"""

from collections.abc import Mapping, Sequence

# The function takes the name of its module, which is imported by full path.
from extrapolation.theory.window import certified as window

__all__ = ['coverage', 'trf', 'verdict', 'window']


def verdict(subject, params: Mapping | None = None) -> list:
  """`series.Verdict` of every head.

  Args:
    subject: an `rpe.RPE`, a function `distance [d] (, params) -> [d] | [H, d]`
      in jnp, or a formula as text.
    params: its parameters in the formula's own units; absent, they stay
      symbols and the verdict may be conditional.

  Raises:
    ValueError: a bias that theory cannot read; the message says what of it.
  """
  from extrapolation.theory import series
  from extrapolation.theory import subject as subjects

  return [series.judge(head) for head in subjects.heads(subject, params)]


def trf(
  subject,
  params: Mapping | None = None,
  eps: Sequence = ('0.1', '0.01', '0.001'),
) -> list[list]:
  """`field.Bracket` of every head and eps: low <= n(eps) <= high, in tokens.

  (None, None) is infinite: the sum diverges. See `verdict` for the arguments;
  eps are shares in (0, 1), read as exact decimals.

  Raises:
    ValueError: as `verdict`; parameters without a value; an infinite weight.
    Undecided: no verdict, or no bound of the tail.
  """
  from extrapolation.theory import field
  from extrapolation.theory import subject as subjects

  shares = [field.share(e) for e in eps]
  return [
    field.receptive(head, shares) for head in subjects.heads(subject, params)
  ]


def coverage(weights, eps: Sequence[float] = (0.01,)):
  """Cumulative share and n(eps) of finite weights; see `field.coverage`."""
  from extrapolation.theory import field

  return field.coverage(weights, eps)
