"""One training step, the optimiser, and the loop around them."""

from extrapolation.training.train_step import (
  State,
  TrainStep,
  check_batch,
  make,
)

__all__ = ['State', 'TrainStep', 'check_batch', 'make']
