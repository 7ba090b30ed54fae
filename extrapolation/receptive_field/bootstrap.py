"""Sums over windows in bounded memory, and their bootstrap."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int

GROUPS = 64

Totals = dict[str, np.ndarray]  # sums over windows, [R, ..], by name


class Sums:
  """Sums of named arrays over windows, by group of neighbouring windows.

  At most 64 groups, however many windows: memory does not grow with the text.
  Groups are what the bootstrap draws; neighbours share one, since one document
  is often behind them. Up to 64 windows, a group is a window.
  """

  def __init__(self, windows: int):
    self.windows, self.groups = windows, min(windows, GROUPS)
    self.sums: dict[str, np.ndarray] = {}

  def add(self, index: Int[np.ndarray, ' B'], **arrays: np.ndarray) -> None:
    """Adds arrays [B, ..] of the windows of that index."""
    group = index * self.groups // self.windows
    for name, values in arrays.items():
      values = np.asarray(values)
      if name not in self.sums:
        self.sums[name] = np.zeros((self.groups, *values.shape[1:]))
      for g, value in zip(group, values, strict=True):
        self.sums[name][g] += value

  def total(self, names: Sequence[str]) -> Totals:
    """The sums over all windows, [1, ..]."""
    return {name: self.sums[name].sum(0)[None] for name in names}

  def mean(self, name: str) -> np.ndarray:
    return self.sums[name].sum(0) / self.windows

  def draws(self, resamples: int, seed: int) -> Float[np.ndarray, 'R g']:
    """How often each group is drawn; row 0 takes each once, as measured."""
    rng = np.random.default_rng(seed)
    even = np.full(self.groups, 1 / self.groups)
    drawn = rng.multinomial(self.groups, even, resamples)
    return np.concatenate([np.ones((1, self.groups)), drawn])

  def statistic(
    self,
    draws: Float[np.ndarray, 'R g'],
    names: Sequence[str],
    function: Callable[[Totals], np.ndarray],
    at_once: int = 1 << 23,
  ) -> np.ndarray:
    """function(totals) of every draw, [R, ..]; `at_once` values in memory."""
    size = sum(self.sums[name][0].size for name in names)
    rows = max(1, at_once // size)
    out = []
    for i in range(0, len(draws), rows):
      part = draws[i : i + rows]
      totals = {n: np.tensordot(part, self.sums[n], 1) for n in names}
      out.append(function(totals))
    return np.concatenate(out)


def interval(
  values: Float[np.ndarray, ' R *shape'],
) -> tuple[Float[np.ndarray, '*shape'], Float[np.ndarray, '*shape']]:
  """95 % percentile interval of draws 1.. of [R, ..]; draw 0 is measured."""
  low, high = np.nanquantile(
    values[1:], (0.025, 0.975), axis=0, method='closest_observation'
  )
  return np.asarray(low), np.asarray(high)
