"""Models whose answers are known, as functions of tokens."""

import numpy as np

from extrapolation import data
from extrapolation.data import examples, probes


def of(spec='needle'):
  """A probe in its own vocabulary."""
  probe = probes.parse(spec)
  return data.Examples.of(probe, examples.tokenizer_of(probe))


def oracle(probe, margin=3.0):
  """Logits that are `margin` for the right answer and 0 for all else."""

  def forward(tokens, Q):
    B, T = tokens.shape
    logits = np.zeros((B, Q, len(probe.vocabulary)), np.float32)
    for b in range(B):
      for i in range(T - Q, T):
        try:
          answer = probe.oracle(tokens[b, : i + 1].tolist())
        except (ValueError, IndexError, StopIteration):
          continue  # nothing is asked there
        logits[b, i - T + Q, answer] = margin
    return logits

  return forward


def near(probe, reach, margin=3.0):
  """The oracle for needles up to a distance; beyond, all logits are 0."""

  def forward(tokens, Q):
    logits = oracle(probe, margin)(tokens, Q)
    values = probe.answers
    for b, row in enumerate(tokens):
      where = [i for i, x in enumerate(row) if x in values]
      if len(row) - 1 - where[-1] > reach:
        logits[b] = 0
    return logits

  return forward


def noise(probe, seed=0):
  """Logits without any information."""
  rng = np.random.default_rng(seed)

  def forward(tokens, Q):
    return rng.normal(size=(len(tokens), Q, len(probe.vocabulary)))

  return forward
