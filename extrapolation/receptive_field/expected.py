"""What theory says of the same heads, on the same axis."""

import dataclasses

import numpy as np

from extrapolation import rpe
from extrapolation.receptive_field import composition
from extrapolation.theory import answer, field, subject


def of_distance(encoding: rpe.RPE) -> bool:
  """Whether the bias is all the order there is; else no field is predicted."""
  default = {f.name: f.default for f in dataclasses.fields(rpe.RPE)}
  return all(
    getattr(encoding, part) is default[part] for part in ('rotate', 'embed')
  )


def heads(m, params, s, train: int) -> list[list[dict]]:
  """theory's record of every head, by layer: verdict, TRF, horizon form."""
  rows, out = m.rpe_params(params), []
  for i in range(m.config.N if m.config.rpe_per_layer else 1):
    values = {k: np.asarray(v[i], np.float32) for k, v in rows.items()}
    found = subject.heads(m.encoding, values)
    eps = dict(zip(s.eps, s.shares, strict=True))
    record = answer.record(m.encoding.name, found, eps, s.length, train)
    out.append(record['heads'])
  return out * (m.config.N // len(out))


def kernels(tables) -> np.ndarray:
  """exp(bias) of every head over the distances below n, sum 1, [N, H, n]."""
  b = np.asarray(tables, np.float64)
  w = np.exp(b - b.max(-1, keepdims=True))
  return w / w.sum(-1, keepdims=True)


def network(tables, eps) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """(weights [n], fields) that the encoding alone predicts of the network.

  trf: of the mean kernel of all heads. trf_composed: of the layers' mean
  kernels, convolved with a residual share of one half.
  """
  K = kernels(tables)
  found = dict(
    trf=K.mean((0, 1)), trf_composed=composition.compose(K.mean(1), 0.5)
  )
  return {k: (w, field.coverage(w, eps)[1]) for k, w in found.items()}


def far_mass(weights: np.ndarray, train: int) -> np.ndarray:
  """Share of weights [.., n] at distances of `train` tokens or more."""
  return weights[..., train:].sum(-1) / weights.sum(-1)
