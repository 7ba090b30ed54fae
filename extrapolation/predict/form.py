r"""Forms that the law can take: ln(ppl_N / ppl_L) as a function of far mass.

F is the share of the weights that lies beyond the training length, mean over
heads and over the positions of a window. Every form is 0 at F = 0 and rises
with F; which of them is used, errors on encodings left out decide.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Numbers = Float[np.ndarray, '...']


class Form(NamedTuple):
  """A function of far mass with few free numbers, all of them positive.

  Attributes:
    of: `(F, *coefficients) -> nats`.
    names: of the coefficients.
    start: where a fit begins.
    meaning: of the coefficients, in words.
  """

  of: Callable[..., Numbers]
  names: tuple[str, ...]
  start: tuple[float, ...]
  meaning: str

  def __call__(
    self, F: float | Numbers, at: Sequence[float] | Numbers
  ) -> Numbers:
    """Nats at a far mass in [0, 1)."""
    return np.asarray(self.of(np.asarray(F, np.float64), *at))


FORMS = {
  'a F': Form(
    lambda F, a: a * F,
    ('a',),
    (0.1,),
    'a: nats lost if all weight is far',
  ),
  'a F^b': Form(
    lambda F, a, b: a * F**b,
    ('a', 'b'),
    (0.1, 1.0),
    'a: nats lost if all weight is far; b: how slowly the loss sets in',
  ),
  'a (-ln(1-F))^b': Form(
    lambda F, a, b: a * (-np.log1p(-F)) ** b,
    ('a', 'b'),
    (0.1, 1.0),
    'a: nats lost where attention is 1 nat (KL) from that over the last L '
    'keys; b: how slowly the loss sets in',
  ),
  'a F^b / (F^b + c^b)': Form(
    lambda F, a, b, c: a * F**b / (F**b + c**b),
    ('a', 'b', 'c'),
    (0.1, 1.5, 0.4),
    'a: nats lost at most; c: far mass at half of it; b: how steeply',
  ),
}
