"""One tile of logits that a score makes: values, mask, cotangents."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from extrapolation.attention import kernel
from extrapolation.attention.pair import Pair
from extrapolation.attention.terms import difference, heated
from extrapolation.parts.score import Tile

Operands = dict  # of arrays: what cotangents are asked for


class ScoredPair(Pair):
  """A block of queries, as rows, and one of keys, in all heads.

  Operands are z, q, bias [H, r, s], [H, r, K], [H, r, s], where there are any
  distance [h, r, s] and heat [h, r, 1], position [h, r, 1], and params of the
  score.
  """

  def operands(self, z: Array, q: Array, tile: Array | None, params: dict):
    """Those of logits z of q; `tile` is that of a table, if the bias is one."""
    x = dict(
      z=z,
      q=q.astype(z.dtype),
      bias=self.bias(len(z)) if tile is None else tile,
      position=self.query['position'],
      params=params,
    )
    if 'part' in self.query:
      x['distance'] = self.distance()
    if 'heat' in self.query:
      x['heat'] = self.query['heat']
    return x

  def steps(self, x: Operands) -> Array:
    """Sum of steps over the keys of this tile from each one rightwards."""
    step = self._score.step
    assert step is not None
    steps = step(self._tile(x, jnp.zeros_like(x['z'])), x['params'])
    steps = jnp.where(self._visible(x), steps, 0)
    return lax.cumsum(steps, axis=2, reverse=True)

  def scores(self, x: Operands, passed: Array | None) -> Array:
    """The logits times the heat; -inf where the key is not seen."""
    passed = jnp.zeros_like(x['z']) if passed is None else passed
    s = self._score.logit(self._tile(x, passed), x['params'])
    if 'heat' in x:
      s = heated(s, x['heat'])
    return jnp.where(self._visible(x), s, -jnp.inf).astype(x['z'].dtype)

  def pull_operands(self, dx: Operands, sums: tuple) -> tuple:
    """As `pull`, of cotangents of operands."""
    dparams, dtile = sums
    by_query = {
      n: dx[n].squeeze(self.keys) for n in ('heat', 'position') if n in dx
    }
    if self.plan.bias is None:
      return (by_query, {}), (dparams, dtile + dx['bias'])
    t = difference(self.query, self.key)
    dt, more = kernel.pull(
      self.plan.bias, self.params, jnp.where(t > 0, t, 0), dx['bias'],
      self.plan.at_once,
    )  # fmt: skip
    dt = jnp.where(t > 0, dt + dx['distance'], 0)
    by_query['part'] = self._sum(dt, self.query['part'], self.keys)
    by_key = dict(part=-self._sum(dt, self.key['part'], self.queries))
    return (by_query, by_key), (jax.tree.map(jnp.add, dparams, more), dtile)

  @property
  def _score(self):
    assert self.plan.score is not None
    return self.plan.score

  def _tile(self, x: Operands, passed: Array) -> Tile:
    between = self.query['index'] - self.key['index']
    between = jnp.maximum(between, 0).astype(x['z'].dtype)
    return Tile(
      z=x['z'],
      q=x['q'],
      bias=jnp.where(x['bias'] == -jnp.inf, 0, x['bias']),
      distance=x.get('distance', between),
      position=x['position'],
      between=between,
      passed=passed,
    )

  def _visible(self, x: Operands) -> Array:
    visible = x['bias'] != -jnp.inf
    for seen in self._seen():
      visible &= seen
    return visible


def add(carry: tuple[Array, Array], x: Array) -> tuple[Array, Array]:
  """carry + x of a sum of two numbers, the second what rounding has lost.

  What is added can so be subtracted again, and the sum is what it was.
  """
  high, low = carry
  new = high + x
  part = new - high
  return new, low + ((high - (new - part)) + (x - part))


def step_backward(
  pair: ScoredPair,
  x: Operands,
  after: tuple[Array, Array] | None,
  dafter: Array | None,
  weigh: Callable[[Array], Array],
) -> tuple:
  """One tile's cotangents: of operands and of what is carried into it.

  Args:
    after: carried sum of steps, this tile's included; None without steps.
    dafter: its cotangent.
    weigh: logits -> their cotangent.

  Returns:
    (dx, the carry before this tile, its cotangent).
  """
  if after is None or dafter is None:
    s, pull = jax.vjp(lambda x: pair.scores(x, None), x)
    return pull(weigh(s))[0], None, None
  inside, pull_steps = jax.vjp(pair.steps, x)
  before = add(after, -inside[..., :1])
  passed = (before[0] + before[1]) + inside
  s, pull = jax.vjp(pair.scores, x, passed)
  dx, dpassed = pull(weigh(s))
  more = pull_steps(dpassed.at[..., :1].add(dafter))[0]
  dbefore = dafter + dpassed.sum(-1, keepdims=True)
  return jax.tree.map(jnp.add, dx, more), before, dbefore
