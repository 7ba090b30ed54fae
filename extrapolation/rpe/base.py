"""What an encoding is: a record of pure functions of distance.

Sizes, here and everywhere: B batch, T query, S key, H head, D model,
K head width, F hidden, V vocabulary. A distance is query index minus key
index, in tokens, >= 0 (causal).
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, PRNGKeyArray

from extrapolation.clock.base import Clock
from extrapolation.heat.base import Heat
from extrapolation.parts.score import Score

Params = dict[str, Array]
QK = Float[Array, 'B T H K']


INDEX, ONE, PLAIN = Clock(), Heat(), Score()


def no_params(key: PRNGKeyArray) -> Params:
  """The learned part of an encoding that learns nothing."""
  del key
  return {}


def _same_params(params: Params) -> Params:
  return params


def _same_qk(q: QK, k: QK, positions: Num[Array, '...']):
  del positions
  return q, k


def _same_input(x: Float[Array, 'B T D'], positions: Num[Array, '...']):
  del positions
  return x


@dataclasses.dataclass(frozen=True, kw_only=True)
class RPE:
  """A relative positional encoding.

  Attributes:
    bias: `(distance [d], params) -> [H, d]` float32; the log of the weight that
      head h gives a key at that distance, added to q.k / sqrt(K). Elementwise
      in distance. -inf means a weight of exactly zero; never +inf or NaN.
    init: `key -> params`, the formula's own parameters (per head, in the units
      of the formula); a dict of arrays, empty when nothing is learned.
    constrain: `raw -> params`. The optimiser moves `raw`, which is free in R;
      `constrain` maps it to the domain of the formula, so nothing is clamped.
    unconstrain: `params -> raw`, its inverse.
    rotate: `(q, k [B, T, H, K], positions [T]) -> (q, k)`; RoPE and its kin.
      Their q.k must depend on positions through differences only. Positions
      of packed documents are [B, T], here and below.
    embed: `(x [B, T, D], positions [T]) -> x`; absolute encodings.
    clock: positions p of tokens; the distance that `bias` reads is p_i - p_j,
      and `rotate` turns by p. The index by default.
    heat: scale of the logits of each query; 1 by default.
    score: logit of a query and a key as a function of q.k and of the bias;
      their sum by default.
    directed: whether `bias` tells sides apart where a query has keys on both:
      it then takes distances < 0 too, of keys behind the query.
    causal: whether its formula is of keys behind a query alone, so that a space
      with keys ahead is refused.
    parts: the encodings that stand side by side in its heads, if it is several.
    source: paper and equation.
    name: the name of the file that made it; set by `rpe.get`.
  """

  bias: Callable[[Num[Array, ' d'], Params], Float[Array, 'H d']]
  init: Callable[[PRNGKeyArray], Params] = no_params
  constrain: Callable[[Params], Params] = _same_params
  unconstrain: Callable[[Params], Params] = _same_params
  rotate: Callable = _same_qk
  embed: Callable = _same_input
  clock: Clock = INDEX
  heat: Heat = ONE
  score: Score = PLAIN
  directed: bool = False
  causal: bool = False
  parts: tuple['RPE', ...] = ()
  source: str
  name: str = ''

  @property
  def learned(self) -> bool:
    """Whether the bias has parameters that are trained."""
    return self.init is not no_params

  @property
  def bias_only(self) -> bool:
    """Whether the bias is all that tells the model of order."""
    return not self.beside_bias

  @property
  def of_positions(self) -> list[str]:
    """Which of rotate and embed it has, that read positions, not distances."""
    defaults = dict(rotate=_same_qk, embed=_same_input)
    return [k for k, f in defaults.items() if getattr(self, k) is not f]

  @property
  def beside_bias(self) -> str:
    """What else weights depend on: rotate, ..., heat, score, or ''."""
    names = self.of_positions
    names += ['clock'] * (not self.clock.is_index)
    names += ['heat'] * (not self.heat.is_one)
    names += ['score'] * (not self.score.is_plain)
    return ' and '.join(names)

  @property
  def form(self) -> 'RPE':
    """The record without its bias: equal where a table of numbers differs.

    What is compiled takes the bias [H, T] as an argument, and is shared by
    all encodings of one form. On a clock that is no index, the bias stays: it
    is no table.
    """
    bias = _no_table if self.clock.is_index else self.bias
    return dataclasses.replace(self, bias=bias, parts=(), source='', name='')


def _no_table(distance: Num[Array, ' d'], params: Params):
  raise TypeError('the form of an encoding has no bias of its own')


def no_bias(H: int) -> Callable:
  """The bias of an encoding that has none: every distance weighs the same."""

  def bias(distance: Num[Array, ' d'], params: Params):
    del params
    return jnp.zeros((H, distance.shape[0]), jnp.float32)

  return bias


def slopes(H: int) -> Float[Array, 'H 1']:
  r"""Head scales k_h of ALiBi, steepest first.

  k_h = 2^(-8 h / H), h = 1..H, when H is a power of two; otherwise those of
  the power of two P below H, followed by every second one of 2P, so that
  H = 12 gives 2^-1 .. 2^-8 and then 2^-0.5, 2^-1.5, 2^-2.5, 2^-3.5.

  Source: Press et al. 2022, section 3 and published code, arXiv 2108.12409.

  >>> slopes(4)[:, 0]
  Array([0.25      , 0.0625    , 0.015625  , 0.00390625], dtype=float32)
  """
  if H < 1:
    raise ValueError(f'H = {H} heads; at least 1 is needed')
  P = 1 << (H.bit_length() - 1)
  exponents = [8 * h / P for h in range(1, P + 1)]
  exponents += [8 * h / (2 * P) for h in range(1, 2 * P, 2)][: H - P]
  return jnp.asarray([2.0**-e for e in exponents], jnp.float32)[:, None]


def check_slope(slope: float) -> None:
  """Raises ValueError unless it is 0, which is none, or one of all heads."""
  if not 0 <= slope < math.inf:
    raise ValueError(
      f'slope = {slope}: one of all heads is > 0; 0 gives each its own'
    )


def steepness(H: int, slope: float) -> Float[Array, 'H 1']:
  """Head scales k_h: `slopes`, or one slope > 0 of all heads; 0 is none."""
  return jnp.full((H, 1), slope, jnp.float32) if slope else slopes(H)


def scaled(
  H: int, log_weight: Callable, source: str, slope: float = 0.0
) -> RPE:
  """bias_h(t) = log_weight(k_h t): a fixed head scale inside the argument.

  k_h are those of `steepness`: ALiBi's, or one `slope` in every head.
  """
  check_slope(slope)

  def bias(distance: Num[Array, ' d'], params: Params):
    del params
    k = steepness(H, slope)
    return log_weight(k * distance.astype(jnp.float32))

  return RPE(bias=bias, source=source)


def _softplus_inverse(y: Array):
  return y + jnp.log(-jnp.expm1(-y))


def positive(**upper: float | None) -> dict[str, Any]:
  """`constrain` and `unconstrain` for parameters in (0, upper).

  softplus where `upper` is None, upper * sigmoid elsewhere. Clamping in place
  would leave the optimiser pushing against a wall with zero gradient.
  """

  def constrain(raw: Params):
    return {
      k: jax.nn.softplus(raw[k]) if u is None else u * jax.nn.sigmoid(raw[k])
      for k, u in upper.items()
    }

  def unconstrain(params: Params):
    return {
      k: _softplus_inverse(params[k])
      if u is None
      else jax.scipy.special.logit(params[k] / u)
      for k, u in upper.items()
    }

  return dict(constrain=constrain, unconstrain=unconstrain)
