"""What theory says of the same heads, on the same axis."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from extrapolation.model import Model
from extrapolation.receptive_field.estimators import composition
from extrapolation.receptive_field.estimators.settings import Settings
from extrapolation.theory import (
  NotJudged,
  answer,
  far_share,
  subjects,
  trf_bounds,
)

Heads = list[list[dict]]  # theory's record of each head, by layer


def heads(model: Model, params: dict, settings: Settings, train: int) -> Heads:
  """theory's record of every head: verdict, TRF, horizon form.

  Raises:
    NotJudged: an encoding in which order enters beside the weights, or a
      weight that is no function of i - j.
  """
  if not model.by_distance:
    raise NotJudged(
      f'{model.config.label} is not judged: weights are no function of i - j '
      '(a clock, a heat of the bias, or a score)'
    )
  eps = dict(zip(settings.eps, settings.shares, strict=True))
  asked = answer.Asked(eps, settings.length, train)
  N = model.config.N
  distinct = N if model.config.rpe_per_layer else len(model.encodings)
  answers = []
  for encoding, row in model.rpe_by_layer(params)[:distinct]:
    values = {k: np.asarray(v, np.float32) for k, v in row.items()}
    subject = subjects.read(encoding, values)
    _ = subject.heads  # refused where not judged
    answers.append(answer.record(subject, asked)['heads'])
  return [answers[i % distinct] for i in range(N)]


def kernels(bias: Float[np.ndarray, 'N H n']) -> Float[np.ndarray, 'N H n']:
  """exp(bias) of every head over the distances below n, sum 1."""
  w = np.exp(bias - bias.max(-1, keepdims=True))
  return w / w.sum(-1, keepdims=True)


def network(
  bias: Float[np.ndarray, 'N H n'], eps: Sequence[float]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """(weights [n], n(eps)) that the encoding alone predicts of the network.

  trf: of the mean kernel of all heads. trf_composed: of the layers' mean
  kernels, convolved with a residual share of one half.
  """
  K = kernels(bias)
  weights = dict(
    trf=K.mean((0, 1)), trf_composed=composition.compose(K.mean(1), 0.5)
  )
  return {k: (w, trf_bounds.coverage(w, eps)[1]) for k, w in weights.items()}


def far_between(
  bias: Float[np.ndarray, 'N H n'],
  train: int,
  Q: int,
  osc: Float[np.ndarray, 'N H'],
) -> Float[np.ndarray, 'N H 2']:
  """Where the mean share beyond `train` of the last Q queries must lie.

  Of each query by `far_share.interval`: osc is the most that two of its logits
  differ, F its far mass, which is 0 of a query that has no key so far away.
  """
  B = np.cumsum(kernels(bias), -1)
  i = np.arange(max(B.shape[-1] - Q, train), B.shape[-1])
  F = 1 - B[..., train - 1 : train] / B[..., i]
  ends = far_share.interval(np.clip(F, 0, 1), osc[..., None])
  return np.stack([x.sum(-1) / Q for x in ends], -1)
