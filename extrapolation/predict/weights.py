"""What is known of the weights of an encoding before it is trained."""

import copy
import dataclasses
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from extrapolation import rpe
from extrapolation.theory import finite_horizon, subjects, tightness
from extrapolation.theory.enclosures import finite_sum
from extrapolation.theory.enclosures.finite_sum import Floats
from extrapolation.theory.expression.graph import Node
from extrapolation.theory.verdicts import NOT, TIGHT

ORDERED = TIGHT, NOT  # what can be said without a number, the better first


@dataclasses.dataclass(frozen=True)
class Head:
  """Weights of one head below the longest length, or of several alike.

  Attributes:
    sums: bounds of the weights, from float64 intervals.
    b: log weights by distance, float64.
    count: how many heads of all layers are like it.
  """

  sums: Floats
  b: Float[np.ndarray, ' d']
  count: int

  def far_mass(self, n: int, L: int) -> float:
    """Mean over i = 1 .. n of the share of i weights at or beyond L."""
    short = copy.copy(self.sums)  # of which `mean` reads the weights alone
    low, high = self.sums.weights
    short.weights = low[:n], high[:n]
    return float(finite_horizon.mean(short, L).mid())

  def cost(self, n: int) -> Float[np.ndarray, ' n']:
    """Delta_n(t) = ln(sum_{s<n} e^b(s)) - b(t) in nats, t = 0 .. n - 1."""
    low, high = self.sums.prefix()
    total = self.sums.top + np.log((low[n] + high[n]) / 2)
    return total - self.b[:n]


@dataclasses.dataclass(frozen=True)
class Weights:
  """The weights of an encoding, of initial values where it learns them.

  Attributes:
    heads: the distinct heads of all layers; none where weights do not decide.
    learned: whether training changes them.
    mixed: whether encodings stand side by side, or layers take turns.
    why: there are no heads; '' where there are.
    order: 'tight' or 'not tight' where theory says so of such an encoding.
  """

  heads: Sequence[Head] = ()
  learned: bool = False
  mixed: bool = False
  why: str = ''
  order: str = ''

  def far_mass(self, n: int, L: int) -> float:
    """Mean over heads, layers and positions of what lies at or beyond L."""
    all_ = sum(head.count for head in self.heads)
    return sum(h.count * h.far_mass(n, L) for h in self.heads) / all_


def read(
  text: str, hyper: Mapping[str, Any], H: int, N: int, n: int
) -> Weights:
  """The weights below n of an encoding in H heads of each of N layers.

  What theory cannot read, or does not judge by weights, has `why` instead.
  """
  layers = rpe.layers(text, H, **hyper)
  if any(not layer.bias_only for layer in layers):
    return _silent(layers)
  try:
    roots: Counter[Node] = Counter()
    by_layer = itertools.islice(itertools.cycle(map(_formulas, layers)), N)
    for formulas in by_layer:
      roots.update(formulas)
    distinct = heads(roots, n)
  except (ValueError, OverflowError) as e:
    return Weights(why=f'theory cannot read it: {" ".join(str(e).split())}')
  return Weights(
    heads=distinct,
    learned=any(layer.learned for layer in layers),
    mixed=len(layers) > 1 or any(layer.parts for layer in layers),
  )


def heads(roots: Mapping[Node, int], n: int) -> list[Head]:
  """The weights below n of log weights, and how many heads have each."""
  t = np.arange(n, dtype=np.float64)
  out = []
  for root, count in roots.items():
    root = finite_sum.without_constant(root)
    b = finite_horizon.log_weights(root, t)
    out.append(Head(Floats(root, n), b, count))
  return out


def _formulas(layer: rpe.RPE) -> Sequence[Node]:
  """The log weight of every head, from initial values."""
  initial = layer.init(jax.random.key(0))
  values = {key: np.asarray(value) for key, value in initial.items()}
  return subjects.heads(layer, values)


def _silent(layers: Sequence[rpe.RPE]) -> Weights:
  """Why there are no weights by distance, and what is known all the same."""
  beside = dict.fromkeys(x.beside_bias for x in layers if x.beside_bias)
  why = (
    f'order enters through {" and ".join(beside)}, not through weights alone'
  )
  try:
    of = [subjects.read(layer) for layer in layers]
    heads = [head for one in of for head in one.all_attended]
    if not heads:
      return Weights(why=why)
    verdicts = [tightness.judge(head) for head in heads]
    whole = tightness.composed(heads, verdicts).verdict
  except (ValueError, OverflowError):
    return Weights(why=why)
  return Weights(why=why, order=whole if whole in ORDERED else '')
