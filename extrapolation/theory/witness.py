r"""A text on which a window of w keys is wrong by the whole value.

q = k = 0 and v = -u on all but the last w of n tokens, +u on those. Attention
over all n keys gives o = (2 B_w / B_n - 1) u, that over the last w gives u, so

  ||o - o_w|| = 2 (1 - B_w / B_n) ||u||,  B_n = sum_{t<n} e^{b(t)},

at least ||u|| from n_half(w) = min{n : B_n >= 2 B_w} tokens on. It is the
largest error there is without content (docs/theory.md, theorem 1): where B is
less than 2 B_w there is no such text of any length.
"""

import dataclasses
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from flint import arb

from extrapolation.theory import convergence, finite_horizon, trf_bounds
from extrapolation.theory.bracket import INFINITE, Bracket, search
from extrapolation.theory.enclosures import finite_sum, prefix_sums
from extrapolation.theory.enclosures.prefix_sums import PrefixSums
from extrapolation.theory.enclosures.sums import precision
from extrapolation.theory.errors import NotProved
from extrapolation.theory.expression.graph import Node

HALF = Fraction(1, 2)
EFFORT = 50 * prefix_sums.EFFORT  # of one head that is asked for


def n_half(root: Node, w: int, half: Bracket | None = None) -> Bracket:
  """The smallest n with B_n >= 2 B_w; (None, None) is never.

  Args:
    root: the log weight, without free parameters.
    w: the window, in tokens.
    half: a bracket of n(1/2), computed where it is None: 2 B_w > B, so that no
      B_n is ever so large, if and only if n(1/2) <= w.

  Raises:
    UndefinedTotal: an infinite or undefined weight.
  """
  if half is None:
    half = _half(root)
  root = finite_sum.without_constant(root)
  if half.high is not None and half.high <= w:
    return INFINITE
  prefix = PrefixSums(root)
  try:
    some = bool(prefix(w) > 0)
  except NotProved:
    some = False
  if not some:  # no share of a window whose keys may all have the weight 0
    return Bracket(1, None)
  return first(prefix, lambda prefix: 2 * prefix(w), w)


def _half(root: Node) -> Bracket:
  try:
    return trf_bounds.receptive(root, [HALF])[0]
  except NotProved:
    return Bracket(1, None)


def first(
  prefix: PrefixSums, goal: Callable[[PrefixSums], arb], guess: int = 1
) -> Bracket:
  """The smallest n with B_n >= goal(prefix); high None: none was found."""

  def decide(n: int) -> int:
    try:
      with precision():
        missing = prefix(n) - goal(prefix)
    except NotProved:
      return 0
    return 1 if missing >= 0 else -1 if missing < 0 else 0

  if decide(guess) == 0:  # B_w itself is not known
    return Bracket(1, None)
  return search(decide, guess)


@dataclasses.dataclass(frozen=True)
class Witness:
  """The text of n tokens against a window of w keys, and enclosures of sums."""

  w: int
  n: int
  near: arb
  whole: arb

  @property
  def error(self) -> arb:
    """Encloses ||o - o_w|| / ||u||."""
    with precision():
      return 2 * (1 - self.near / self.whole)

  def arrays(self) -> dict[str, np.ndarray]:
    """q, k, v [1, n, 1, 1], float32; the last query is the one that errs."""
    shape = 1, self.n, 1, 1
    v = np.ones(shape, np.float32)
    v[:, : self.n - self.w] = -1
    return dict(q=np.zeros(shape, np.float32), k=np.zeros_like(v), v=v)


def make(root: Node, w: int, n: int | None = None) -> Witness:
  """The witness of n tokens, of n_half(w) where n is None.

  Raises:
    NotProved: there is none, or it is not known how long it is.
    ValueError: n is less than w.
  """
  if n is None:
    bracket = n_half(root, w)
    if bracket == INFINITE:
      raise NotProved(f'2 B_{w} > B: no text has an error of the whole value')
    if bracket.high is None:
      raise NotProved(f'the shortest text has at least {bracket.low} tokens')
    n = bracket.high
  if n < w:
    raise ValueError(f'n = {n} tokens: at least the window, w = {w}')
  prefix = PrefixSums(root, EFFORT)
  return Witness(w, n, prefix(w), prefix(n))


def largest(root: Node, w: int) -> arb:
  """T_w / B, half of the largest error of any n without content.

  Raises:
    NotProved, UndefinedTotal: as `trf_bounds.receptive`.
  """
  verdict = convergence.judge(root)
  if verdict.verdict != 'converges':
    raise NotProved(f'{verdict.verdict}: {verdict.argument}')
  tails = trf_bounds.tails(root, verdict.log_depth, Fraction(1, 1000))
  with precision():
    return tails.beyond(w) / tails.beyond(0)


def checked(root: Node, witness: Witness) -> float:
  """The error that the project's own attention makes on it, in float32.

  Up to 8,192 tokens all queries are computed; beyond, the last one alone, from
  a cache of all keys, which gives what `attend` gives it.
  """
  import jax.numpy as jnp

  from extrapolation import attention
  from extrapolation.attention import decode

  n, w = witness.n, witness.w
  t = np.arange(n, dtype=np.float64)
  bias = jnp.asarray(finite_horizon.log_weights(root, t)[None], jnp.float32)
  q, k, v = map(jnp.asarray, witness.arrays().values())
  if n <= 8192:
    o, cut = (attention.attend(q, k, v, bias, window=x)[:, -1] for x in (n, w))
  else:
    last = q[:, -1:], k[:, -1:], v[:, -1:]
    o, cut = (
      decode.step(
        *last,
        bias,
        decode.prefill(k[:, :-1], v[:, :-1], decode.init_cache(1, 1, 1, x)),
        n - 1,
      )[0]
      for x in (n, w)
    )
  return float(jnp.abs(o - cut).max())
