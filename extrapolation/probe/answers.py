"""What a model answers in the cells of one length: right or not, and how sure.

The answer is chosen among the possible ones, the largest logit of these, so
that a guess is right in one of so many. Other tokens count in the loss alone.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import special, stats

from extrapolation import data
from extrapolation.probe.grid import Settings

# (tokens [B, T], Q) -> logits after the last Q of them, [B, Q, V]
Forward = Callable[[Int[np.ndarray, 'B T'], int], Float[np.ndarray, 'B Q V']]

LEVEL = 0.95


class Scores(NamedTuple):
  """Of several answers, or of several examples.

  Attributes:
    right: 1 where the answer has the largest logit of all answers, else 0.
    margin: its logit less the largest other answer's, nats.
    nll: -ln p(answer) among all tokens, nats.
  """

  right: Float[np.ndarray, ' n']
  margin: Float[np.ndarray, ' n']
  nll: Float[np.ndarray, ' n']


def score(
  logits: Float[np.ndarray, 'n V'],
  answers: Int[np.ndarray, ' a'],
  targets: Int[np.ndarray, ' n'],
) -> Scores:
  """Of each query, by its logits.

  Args:
    logits: of all tokens.
    answers: tokens that an answer may be.
    targets: the token that it is.
  """
  each = np.arange(len(targets))
  chosen = (answers == targets[:, None]).argmax(1)
  possible = np.array(logits[:, answers], np.float64)
  right = (possible.argmax(1) == chosen).astype(np.float64)
  own = possible[each, chosen]
  possible[each, chosen] = -np.inf
  nll = special.logsumexp(np.asarray(logits, np.float64), axis=1) - own
  return Scores(right, own - possible.max(1), nll)


def measure(
  forward: Forward,
  examples: data.Examples,
  length: int,
  distances: Sequence[int],
  settings: Settings,
  rows: int,
  advance: Callable[[int], None] = lambda tokens: None,
) -> dict[int, Scores]:
  """By distance, the scores of each example of one length.

  Those of an example with several answers at the distance are their mean.

  Args:
    forward: the model.
    examples: the probe, in the model's tokens.
    rows: texts in each pass.
    advance: called with the number of tokens that were computed.
  """
  cells = [(d, i) for d in distances for i in range(settings.examples)]
  parts = [cells[i : i + rows] for i in range(0, len(cells), rows)]
  answers = examples.answers
  Q = max(_queried(_drawn(examples, length, p, settings)[1]) for p in parts)
  out = []
  for part in parts:
    tokens, weights = _drawn(examples, length, part, settings)
    # Of one shape, so that one program serves all.
    logits = forward(np.resize(tokens[:, :-1], (rows, length)), Q)
    for own, ids, w in zip(logits, tokens[:, 1:], weights, strict=False):
      at = np.flatnonzero(w)
      of = score(np.asarray(own)[at - (length - Q)], answers, ids[at])
      out.append([x.mean() for x in of])
    advance(len(part) * length)
  by_cell = np.reshape(out, (len(distances), settings.examples, -1))
  return {d: Scores(*x.T) for d, x in zip(distances, by_cell, strict=True)}


def summary(of: Scores) -> dict:
  """One cell: means over its needles, and Wilson's interval of accuracy.

  The interval is that of so many needles, right or wrong, also where each has
  several answers.
  """
  n, accuracy = len(of.right), float(of.right.mean())
  counted = stats.binomtest(round(accuracy * n), n)
  ends = counted.proportion_ci(LEVEL, method='wilson')
  return dict(
    examples=n,
    accuracy=accuracy,
    low=float(ends.low),
    high=float(ends.high),
    margin=float(of.margin.mean()),
    nll=float(of.nll.mean()),
  )


def _drawn(
  examples: data.Examples,
  length: int,
  cells: Sequence[tuple[int, int]],
  settings: Settings,
) -> tuple[Int[np.ndarray, 'b T1'], Float[np.ndarray, 'b T']]:
  """Tokens and weights of cells: (distance, number of the example)."""
  read = [
    examples.read(
      [i], length, stream='test', seed=settings.seed, distance=distance
    )
    for distance, i in cells
  ]
  tokens, weights, _ = map(np.concatenate, zip(*read, strict=True))
  return tokens, weights


def _queried(weights: Float[np.ndarray, 'b T']) -> int:
  """How many of the last tokens hold every query."""
  return weights.shape[1] - int(np.flatnonzero(weights.any(0))[0])
