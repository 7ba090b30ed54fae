"""What one run measured at one length, beside what was known before."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Outcome:
  """One run at one length beyond the training length L.

  Attributes:
    length: N in tokens.
    far_mass: what theory knows before training, see `Weights.far_mass`.
    nats: ln(ppl_N / ppl_L).
    learned: whether far mass is that of initial values.
    corpus: data.source of the run.
    size: of the model, in words.
    ratio: N / L.
    run: id of the run; '' in tables of before there were any.
  """

  study: str
  encoding: str
  seed: int
  length: int
  far_mass: float
  nats: float
  learned: bool
  corpus: str
  size: str
  ratio: float
  run: str = ''
