"""What a score is: logits that are more than q.k plus a bias."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Float, PRNGKeyArray

from extrapolation.parts.params import Params, no_params, same


class Tile(NamedTuple):
  """Some queries i (r of them) and some keys j (s), in all heads.

  A function of a tile is elementwise in i and j: it reads no place in it.

  Attributes:
    z: q_i.k_j / sqrt(K), times a heat of q.k alone.
    q: the queries, as they were rotated, times that heat.
    bias: the kernel at the distance; 0 where it is -inf.
    distance: p_i - p_j >= 0, per head or one for all; i - j without a clock.
    position: p_i, from 0 at the begin of a document.
    between: i - j, in tokens of the sequence, whatever the clock; >= 0.
    passed: sum of `Score.step` over the keys j .. i, both included; 0 where
      there is no step.
  """

  z: Float[Array, 'H r s']
  q: Float[Array, 'H r K']
  bias: Float[Array, 'H r s']
  distance: Float[Array, '#H r s']
  position: Float[Array, '#H r 1']
  between: Float[Array, '1 r s']
  passed: Float[Array, 'H r s']


def plain(tile: Tile, params: Params) -> Float[Array, 'H r s']:
  """Logit of q.k and bias: z + bias."""
  del params
  return tile.z + tile.bias


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
  """The logits of attention as a function of the logits q.k and the bias.

  Attributes:
    logit: `(tile, params) -> [H, r, s]`, ln of the weight before it is divided
      by the sum of weights; -inf for a weight of 0. Where a key is not seen, in
      a head whose kernel is -inf there too, it is ignored: the weight is 0.
    step: `(tile, params) -> [H, r, s]`, what a key adds to `passed` of itself
      and of all keys before it; reads all of the tile but `passed`. A key that
      is not seen adds 0. None: no logit reads `passed`.
    softmax: whether weights are divided by their sum; for all heads or per
      head.
    init: `(key, D) -> params`, its learned part for a model of width D; a dict
      of arrays, empty when nothing is learned. One per layer.
    constrain: `raw -> params`; raw values, which the optimiser moves, are free
      in R.
    unconstrain: `params -> raw`, its inverse.
    bounded: whether |logit - z| stays below a bound, whatever i - j, the text
      and the parameters, where |z| does; what theory needs.
    decay: `M -> a`: the weights of all keys more than m tokens before the query
      sum to at most e^{-a m} where |z| <= M, and for some z and long texts to
      as much in the limit. None: not known.
    slope: `(params, k [H]) -> [H]`: where bias_h = -k_h g(distance), g growing
      without bound, logit_h - z_h + slope_h g is bounded. None: not known.
  """

  logit: Callable[[Tile, Params], Float[Array, 'H r s']] = plain
  step: Callable[[Tile, Params], Float[Array, 'H r s']] | None = None
  softmax: bool | tuple[bool, ...] = True
  init: Callable[[PRNGKeyArray, int], Params] = no_params
  constrain: Callable[[Params], Params] = same
  unconstrain: Callable[[Params], Params] = same
  bounded: bool = False
  decay: Callable[[float], float] | None = None
  slope: Callable[[Params, Array], Float[Array, ' H']] | None = None

  @property
  def is_plain(self) -> bool:
    """Whether a logit is q.k and bias, which a softmax makes weights."""
    return self.logit is plain

  @property
  def learned(self) -> bool:
    """Whether it has parameters that are trained."""
    return self.init is not no_params
