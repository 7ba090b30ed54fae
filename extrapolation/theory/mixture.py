"""What a score that mixes heads makes of their kernels, for given weights.

Kernels b_h = -k_h g + O(1) of one function g that grows without bound come out
as -kappa_h g + O(1) (`Score.slope`), and bounded factors decide no tightness.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from extrapolation.parts.params import Params
from extrapolation.parts.score import Score
from extrapolation.theory.expression import trace
from extrapolation.theory.expression.graph import Node

LINE, LOG = 't', 'log(1+t)'
FUNCTIONS = {LINE: lambda t: t, LOG: jnp.log1p}
MULTIPLES = (
  'kernels that are multiples of t, or of log t, up to a constant, in all '
  'heads that are mixed'
)


class Mixed(NamedTuple):
  """Of one head.

  Attributes:
    b: the kernel -kappa g that it has in the end, up to a bounded function.
    kappa: its slope.
    g: the function, as text.
  """

  b: Node
  kappa: float
  g: str


def of_heads(
  score: Score, formulas: Sequence[Node], params: Params | None
) -> tuple[list[Mixed], str]:
  """Every head's, or none and what is missing.

  Args:
    formulas: the log weights of the heads, before they are mixed.
    params: the learned part of the score; None is not known.
  """
  if score.slope is None:
    return [], 'what the score makes of the kernel: its file has no slope'
  if params is None and score.learned:
    return [], 'the mix is learned; give --workdir=RUN'
  known = [_falls(f) for f in formulas]
  functions = {g for g, k in filter(None, known) if k}
  if None in known or len(functions) > 1:
    return [], MULTIPLES
  g = functions.pop() if functions else LINE
  k = jnp.asarray([float(of[1]) for of in known if of], jnp.float32)
  values = {n: jnp.asarray(v, jnp.float32) for n, v in (params or {}).items()}
  kappa = np.asarray(score.slope(values, k), np.float32)

  def bias(t: Array, params: Params) -> Array:
    return -params['kappa'][:, None] * FUNCTIONS[g](t.astype(jnp.float32))

  nodes = trace.read(bias, dict(kappa=kappa))
  return [Mixed(*x, g) for x in zip(nodes, map(float, kappa), strict=True)], ''


def _falls(root: Node) -> tuple[str, Fraction] | None:
  """(g, k) of b = -k g + O(1), or None where it is of no such form."""
  if root.op == 'const':
    return LINE, Fraction(0)
  if root.op == 't':
    return LINE, Fraction(-1)
  if root.op != 'add' or len(root.args) != 1:
    return None
  (inner,), (_, (c,)) = root.args, root.data
  if inner.op == 't':
    return LINE, -c
  if inner.op != 'log' or inner.args[0].op != 'add':
    return None
  positive = inner.args[0].data[0] > 0  # at t = 0 too
  degree = _degree(inner.args[0]) if positive else None
  return None if degree is None else (LOG, -c * degree)


def _degree(x: Node) -> Fraction | None:
  """d of a polynomial that is t^d but for a factor and lower powers."""
  if x.op == 't':
    return Fraction(1)
  known = [_degree(one) for one in x.args if one.op != 'const']
  degrees = [d for d in known if d is not None]
  if len(degrees) < len(known) or not degrees:
    return None
  if x.op == 'add' and x.data[0] >= 0 and min(x.data[1]) > 0:
    return max(degrees)
  if x.op == 'mul':
    return sum(degrees, Fraction(0)) if len(degrees) == len(x.args) else None
  if x.op == 'pow' and x.args[1].op == 'const' and x.args[1].data > 0:
    return degrees[0] * x.args[1].data
  return None
