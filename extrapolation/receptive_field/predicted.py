"""What theory says of the same heads, on the same axis."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from extrapolation import config
from extrapolation.model import Model
from extrapolation.receptive_field import fields
from extrapolation.receptive_field.estimators import composition
from extrapolation.receptive_field.estimators.settings import Settings
from extrapolation.theory import (
  NotJudged,
  answer,
  far_share,
  space,
  space_answer,
  subjects,
  trf_bounds,
)

Heads = list[list[dict]]  # theory's record of each head, by layer
Weights = dict[str, tuple[np.ndarray, np.ndarray]]  # [n], and n(eps) of them


class Predicted(NamedTuple):
  """What theory says of a run, as a record takes it.

  Attributes:
    heads: its record of every head.
    below: n(eps) over the distances that are measured, by layer, head and eps.
    far: share of the weights at `train_length` distances or more.
    between: ends of where the share that is seen must lie; None: not known.
    network: weights by distance, by name of a field, and n(eps) of them.
  """

  heads: Heads
  below: list[list[dict[str, int]]]
  far: Float[np.ndarray, 'N H']
  between: Float[np.ndarray, 'N H 2'] | None
  network: Weights


def of_line(
  heads: Heads,
  bias: Float[np.ndarray, 'N H n'],
  settings: Settings,
  train: int,
  osc: Float[np.ndarray, 'N H'],
) -> Predicted:
  """Of a decoder, whose query has one key at each distance.

  osc: the most that two logits of one query differ.
  """
  K = kernels(bias)
  return Predicted(
    heads=heads,
    below=[[one['horizon']['trf'] for one in layer] for layer in heads],
    far=fields.far_mass(K, train),
    between=far_between(bias, train, settings.Q, osc),
    network=network(K, [float(e) for e in settings.shares]),
  )


def of_space(
  heads: Heads,
  mass: Float[np.ndarray, 'N H n'],
  settings: Settings,
  train: int,
) -> Predicted:
  """Of an encoder: mass of its bias alone by distance, of all keys there."""
  eps = [float(e) for e in settings.shares]
  ends = fields.field(mass, eps).astype(int)
  w = kernels_of(mass).mean((0, 1))
  return Predicted(
    heads=heads,
    below=[
      [dict(zip(settings.eps, map(int, row), strict=True)) for row in layer]
      for layer in ends
    ],
    far=fields.far_mass(mass, train),
    between=None,
    network=dict(trf=(w, trf_bounds.coverage(w, eps)[1])),
  )


def heads(model: Model, params: dict, settings: Settings, train: int) -> Heads:
  """theory's record of every head: verdict, TRF, horizon form.

  Of an encoder, in its space.

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
  c = model.config
  where = space.of(config.geometry_of(c)) if c.kind == 'encoder' else None
  asked = answer.Asked(eps, settings.length, train, space=where)
  judge = answer.record if where is None else space_answer.record
  N = c.N
  distinct = N if c.rpe_per_layer else len(model.encodings)
  answers = []
  for encoding, row in model.rpe_by_layer(params)[:distinct]:
    values = {k: np.asarray(v, np.float32) for k, v in row.items()}
    subject = subjects.read(encoding, values)
    _ = subject.heads  # refused where not judged
    answers.append(judge(subject, asked)['heads'])
  return [answers[i % distinct] for i in range(N)]


def kernels(bias: Float[np.ndarray, 'N H n']) -> Float[np.ndarray, 'N H n']:
  """exp(bias) of every head over the distances below n, sum 1."""
  return kernels_of(np.exp(bias - bias.max(-1, keepdims=True)))


def kernels_of(
  weights: Float[np.ndarray, '*shape n'],
) -> Float[np.ndarray, '*shape n']:
  """Weights by distance, sum 1."""
  return weights / weights.sum(-1, keepdims=True)


def network(K: Float[np.ndarray, 'N H n'], eps: Sequence[float]) -> Weights:
  """What the encoding alone predicts of the network, of the heads' kernels.

  trf: of the mean kernel of all heads. trf_composed: of the layers' mean
  kernels, convolved with a residual share of one half.
  """
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
