"""What can be known of an encoding before any training.

  verdict   does the sum of the weights converge: a proof per head
  tight     does one window do for every query, with clocks and heats too
  trf       the theoretical receptive field, as integer brackets
  total     the sum itself, enclosed
  window    the smallest window for a wanted error of attention
  never_rises  which heads are proved not to rise with distance
  coverage  receptive field of measured weights, by the same definition

In another space than a line, `geometry='grid:2'`, as many keys lie at each
distance as its `extrapolation.geometry.Geometry` says: `space.py`.

`python -m extrapolation.theory --help` is the same from the command line.
Core: `expression` reads a bias as a formula; `asymptotics` and `convergence.py`
judge its sum; `enclosures`, `bracket.py` and `trf_bounds.py` bound it.
Readers: `subjects.py` is who is asked about and `answer.py` the record of all
that is said, from `finite_horizon.py`, `far_share.py`, `certified_window.py`,
`tightness.py` (of heads as `attended.py` has them, with `clock_transfer.py`,
`heated.py`, `scored.py`, `mixture.py` and `limits.py`) and
`witness.py` (`signs.py` against all windows); `space_answer.py` is it in a
space, with `shapes.py`. `trained.py` reads a run; `arguments.py`, `table.py`,
`space_table.py`, `figure.py`, `witness_report.py` are the command's.

What goes wrong is a `TheoryError`, a ValueError; `errors` has its kinds.
Nothing here imports Flax; sympy and jax are imported on first use.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from extrapolation.theory.errors import (
  FormulaError,
  NotJudged,
  NotProved,
  TheoryError,
  UndefinedTotal,
  UndefinedWeight,
  UnreadableBias,
)

if TYPE_CHECKING:
  from extrapolation.geometry import Geometry
  from extrapolation.theory.bracket import Bracket
  from extrapolation.theory.convergence import Verdict
  from extrapolation.theory.verdicts import Tightness

__all__ = [
  'FormulaError',
  'NotJudged',
  'NotProved',
  'TheoryError',
  'UndefinedTotal',
  'UndefinedWeight',
  'UnreadableBias',
  'coverage',
  'never_rises',
  'tight',
  'total',
  'trf',
  'verdict',
  'window',
]


def verdict(
  subject: Any,
  params: Mapping | None = None,
  geometry: 'Geometry | str | None' = None,
) -> 'list[Verdict]':
  """`convergence.Verdict` of every head; 'not judged' where order enters
  elsewhere (a rotation, an absolute embedding).

  Args:
    subject: an `rpe.RPE`, a function `distance [d] (, params) -> [d] | [H, d]`
      in jnp, or a formula as text.
    params: its parameters in the formula's own units; absent, they stay
      symbols and the verdict may be conditional.
    geometry: the space of the keys, a record or its text; a causal line if
      absent.

  Raises:
    TheoryError: a bias that theory cannot read; the message says what of it.
    UndefinedWeight: no real number at large distances.
    ValueError: no such geometry.

  >>> (head,) = verdict('-r1*log(1+r2*t)')
  >>> head.verdict, head.condition
  ('conditional', 'r1 > 1')
  >>> [h.verdict for h in verdict(lambda t: -2.0 * t)]
  ['converges']
  >>> verdict('-r1*log(1+r2*t)', geometry='grid:2')[0].condition
  'r1 > 2'
  """
  from extrapolation.theory import convergence, space, subjects

  where = space.of(geometry)
  read = subjects.read(subject, params)
  if why := read.not_judged:
    why = why if where is None else where.not_judged(why)
    return [convergence.Verdict('not judged', None, why)] * read.H
  judge = convergence.judge if where is None else where.judge
  return [judge(head) for head in read.heads]


def tight(
  subject: Any,
  params: Mapping | None = None,
  *,
  M: float | None = None,
  geometry: 'Geometry | str | None' = None,
) -> 'list[Tightness]':
  """`verdicts.Tightness` of every head, clock and heat included.

  Args:
    subject, params, geometry: as in `verdict`.
    M: bound of |q.k| / sqrt K; absent, what depends on it is conditional.

  Raises:
    ValueError: as `verdict`.

  >>> from extrapolation import rpe
  >>> [tight(rpe.get(s, 1))[0].verdict for s in ('harmonic', 'alibi@cable')]
  ['not tight', 'tight']
  """
  from extrapolation.theory import space, subjects, tightness

  where = space.of(geometry)
  heads = subjects.read(subject, params).all_attended
  if where is not None:
    return [where.tight(head, M) for head in heads]
  return [tightness.judge(head, M) for head in heads]


def trf(
  subject: Any,
  params: Mapping | None = None,
  eps: Sequence[str | float | Fraction] = ('0.1', '0.01', '0.001'),
  geometry: 'Geometry | str | None' = None,
) -> 'list[list[Bracket]]':
  """`bracket.Bracket` per head and eps: low <= n(eps) <= high, in tokens.

  Keys at distances below n(eps) hold all but a share eps of the weight of all.
  (None, None) is infinite: the sum diverges. See `verdict` for the arguments;
  eps are shares in (0, 1), read as exact decimals.

  Raises:
    ValueError: as `verdict`; parameters without a value.
    UndefinedTotal: an infinite weight, or all weights zero.
    NotProved: no verdict, or no bound of the tail.
    NotJudged: order enters elsewhere (a rotation, an absolute embedding).

  >>> [(b.low, b.high) for b in trf('-2*log(1+t)')[0]]
  [(6, 6), (61, 61), (608, 608)]
  >>> trf('-log(1+t)', eps=['0.01'])
  [[Bracket(low=None, high=None)]]
  >>> trf('-t', eps=['0.01']), trf('-t', eps=['0.01'], geometry='grid:2')
  ([[Bracket(low=5, high=5)]], [[Bracket(low=7, high=7)]])
  """
  from extrapolation.theory import space, subjects, trf_bounds

  shares = [trf_bounds.share(e) for e in eps]
  heads = subjects.heads(subject, params)
  return [fields for fields, _ in space.summed(heads, shares, geometry)]


def total(
  subject: Any,
  params: Mapping | None = None,
  geometry: 'Geometry | str | None' = None,
) -> list[tuple[float, float]]:
  """Bounds (low, high) per head of the sum of the weights of all keys.

  (inf, inf) where it diverges; see `verdict` for the arguments.

  Raises:
    ValueError: as `trf`.

  >>> import math
  >>> (low, high), = total('-t', geometry='grid:2')  # coth(1/2)^2
  >>> low <= 1 / math.tanh(1 / 2) ** 2 <= high < low * (1 + 1e-9)
  True
  """
  from extrapolation.theory import space, subjects
  from extrapolation.theory.enclosures import ball

  heads = subjects.heads(subject, params)
  return [ball.ends(B) for _, B in space.summed(heads, [], geometry)]


def window(
  subject: Any,
  params: Mapping | None = None,
  *,
  error: float | int,
  M: Any,
  v: float | int = 1,
  horizon: int | None = None,
) -> list[int | None]:
  """Smallest window of every head whose error is at most `error`.

  Args:
    subject, params: as in `verdict`.
    error: wanted bound of ||o - o_w||, in the units of v.
    M: bound of |q.k| / sqrt K; one number, or one per head.
    v: bound of ||v||.
    horizon: contexts have at most so many tokens; None for any length.

  Returns:
    Window in tokens per head (w keys: distances 0 .. w - 1); None where no
    window is proved to do it for every length, as when the sum diverges. With
    a horizon there is always one, at most the horizon itself.

  Raises:
    ValueError: error, M or v out of range, a parameter without a value, or as
      `verdict`.
    NotJudged: order enters elsewhere.

  >>> window('-t', error=0.01, M=1)
  [8]
  """
  from extrapolation.theory import certified_window

  return certified_window.certified(
    subject, params, error=error, M=M, v=v, horizon=horizon
  )


def never_rises(subject: Any, params: Mapping | None = None) -> list[bool]:
  """Whether, per head, b(s) >= b(t) for all real 0 <= s <= t is proved.

  Args:
    subject: a bias as a jnp function, an RPE or a formula, as in `verdict`.
    params: of the bias; without them learned ones stay symbols.

  Raises:
    ValueError: as `verdict`.
    NotJudged: order enters elsewhere.

  >>> never_rises('-t'), never_rises('cos(t)')
  ([True], [False])
  """
  from extrapolation.theory import subjects
  from extrapolation.theory.expression import direction

  return [direction.never_rises(h) for h in subjects.heads(subject, params)]


def coverage(weights: Any, eps: Sequence[float] = (0.01,)) -> tuple:
  """Cumulative share and n(eps) of finite weights; see `trf_bounds.coverage`.

  >>> share, n = coverage([3.0, 1.0, 0.0], eps=[0.5, 0.1])
  >>> share.tolist(), n.tolist()
  ([0.75, 1.0, 1.0], [1, 2])
  """
  from extrapolation.theory import trf_bounds

  return trf_bounds.coverage(weights, eps)
