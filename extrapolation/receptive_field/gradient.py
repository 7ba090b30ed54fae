"""The cumulative normalised gradient, end to end.

s_m = ||dv / de_m|| / sum_n ||dv / de_n||, v the last query's output and e_m the
input embedding of token m; the field is the shortest suffix that holds more
than 1 - eps of it.

Source: Chi et al. 2023, Dissecting Transformer Length Extrapolation via the
Lens of Receptive Field Analysis, arXiv 2212.10356.
"""

import jax
import jax.numpy as jnp

from extrapolation import model
from extrapolation.receptive_field import reference as passes

FORMULA = '(N-1) (n 2(4D^2 + 2DF) + 2.5 * 4D n(n+1)/2) + 6 n D^2 + 2 D V'


def scalar(params, x, targets, output: str):
  """v: the largest logit, or -ln p(target), of each hidden state."""
  logits = model.logits(params, x)
  return logits.max(-1) if output == 'logit' else passes.nats(logits, targets)


def make(m, s):
  """`(params, batch, reference, tables) -> [B, n]`, each window's sum 1."""
  del m

  def run(params, batch, reference, tables):
    del tables
    total = lambda x: scalar(params, x, batch[:, -1], s.output).sum()  # noqa: E731
    (g,) = reference.vjp(jax.grad(total)(reference.x))
    size = jnp.linalg.norm(g, axis=-1).reshape(len(batch), -1)
    return dict(gradient=jnp.flip(size, 1) / size.sum(1, keepdims=True))

  return run


def flops(c, V, s):
  n = s.length
  layer = n * 2 * (4 * c.D**2 + 2 * c.D * c.F) + 5 * c.D * n * (n + 1)
  return (c.N - 1) * layer + 6 * n * c.D**2 + 2 * c.D * V
