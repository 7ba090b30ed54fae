"""What 'auto' chooses is said, once, to who asks for more words."""

import logging

import jax.numpy as jnp
import pytest

from extrapolation import attention
from extrapolation.output import logs


@pytest.fixture
def logger():
  logger = logging.getLogger('extrapolation')
  before = logger.level, logger.propagate, list(logger.handlers)
  yield logger
  logger.level, logger.propagate, logger.handlers = before
  logger.manager._clear_cache()  # of which levels are enabled


@pytest.mark.usefixtures('logger')
@pytest.mark.parametrize('verbose', [True, False])
def test_auto_logs_its_choice_with_verbose(verbose, capsys):
  logs.setup(verbose)
  attention.choose.cache_clear()
  for T in (100, 100, 9):
    x = jnp.ones((1, T, 1, 2))
    attention.attend(x, x, x, jnp.zeros((1, T)))
  lines = [
    'debug: attention: blockwise (cpu, float32, T = 100)',
    'debug: attention: reference (cpu, float32, T = 9)',
  ]
  out, err = capsys.readouterr()
  assert out == '' and err.splitlines() == (lines if verbose else [])
