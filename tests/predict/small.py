"""Outcomes that a test makes up, and the law that this package comes with."""

from extrapolation import rpe
from extrapolation.predict import left_out, weights
from extrapolation.predict.law import Law, LeftOut
from extrapolation.predict.outcome import Outcome
from extrapolation.predict.reach import Gap
from extrapolation.predict.weights import Weights


def outcome(name: str, F: float, nats: float, **changes) -> Outcome:
  """One run at one length."""
  about = dict(study='s', seed=0, length=64, learned=False, ratio=4.0)
  about |= dict(corpus='c', size='N=1')
  return Outcome(encoding=name, far_mass=F, nats=nats, **{**about, **changes})


def recorded(of: Law) -> list[Outcome]:
  """What the law was fitted on: medians over seeds."""
  by_name = {s['study']: s for s in of.about['studies']}
  return [
    outcome(
      row['encoding'], row['far_mass'], row['measured'], study=row['study'],
      length=row['length'], learned=row['learned'],
      **{key: by_name[row['study']][key] for key in ('corpus', 'size')},
    )
    for row in of.about['residuals']
  ]  # fmt: skip


def law(a: float = 0.1, score: float = 0.05, n: int = 10) -> Law:
  """ln(ratio) = a F, from n encodings that it missed by `score`."""
  seen = dict(
    far_mass=0.8, ratio=16.0, parameters=[10, 10**6], train_length=[16, 512],
    train_tokens=[1, 10**12],
    corpora=['sample'], tokenizers=['bytes'], kinds=[], runs=n,
  )  # fmt: skip
  left = {f'e{i}': LeftOut((a,), score) for i in range(n)}
  return Law(
    form='a F', at=(a,), left_out=left, learned={'t': 2.5 * score}, seen=seen,
    errors=dict.fromkeys(left_out.KINDS, 'none is known'), gap=Gap(),
    about=dict(meaning='', forms=[], studies=[], residuals=[]),
  )  # fmt: skip


def weights_of(spec: str, H: int, N: int, n: int) -> Weights:
  """Those below n of an encoding as it is written."""
  name, texts = rpe.parse(spec)
  hyper = rpe.typed(name, texts, rpe.defaults(name))
  return weights.read(name, hyper, H, N, n)
