"""Sections check themselves when they are made."""

import pytest

from extrapolation import config


@pytest.mark.parametrize(
  'key, value, message',
  [
    ('model.H', 7, '7 heads do not divide model.D = 512; near by: 2, 4, 8'),
    ('model.dtype', 'float16', 'there are: float32, bfloat16'),
    ('model.dtype', 'float64', 'needs JAX_ENABLE_X64=1'),
    ('model.activation', 'tanh', 'there are: relu, gelu'),
    ('model.N', 0, 'model.N = 0'),
    ('model.dropout', 1.0, 'model.dropout = 1.0'),
    ('optim.schedule', 'linear', 'there are: inverse_sqrt, cosine, constant'),
    ('optim.rule', 'adam', 'there are: adamw, sgd'),
    ('optim.warmup', 10**6, 'optim.warmup = 1000000'),
    ('optim.lr', float('nan'), 'optim.lr = nan'),
    ('optim.lr', -1.0, 'optim.lr'),
    ('optim.b1', 1.0, 'optim.b1'),
    ('optim.eps', float('inf'), 'optim.eps'),
    ('optim.clip', -1.0, 'optim.clip'),
    ('train.T', 0, 'train.T = 0'),
    ('train.accumulate', 3, 'accumulate = 3 does not divide train.B = 128'),
    ('eval.lengths', (), 'eval.lengths is empty'),
    ('eval.lengths', (0,), '0 is not a length'),
    ('eval.protocol', 'overlap', 'there are: nonoverlap, sliding:STRIDE'),
    ('eval.protocol', 'last:513', 'scores 513 targets'),
    ('eval.window', 'wide', "window 'wide': needs full, a number of keys"),
  ],
)
def test_values_that_do_not_fit_are_named(key, value, message):
  section, _, leaf = key.partition('.')
  with pytest.raises(ValueError, match=message):
    config.from_dict({section: {leaf: value}})


def sizes(devices, processes=1, **kw):
  return config.Parallel(**kw).sizes(devices, processes)


def test_minus_one_is_what_is_left():
  assert sizes(8) == (8, 1, 1)
  assert sizes(8, data=1, fsdp=-1) == (1, 8, 1)
  assert sizes(8, fsdp=2, seq=2) == (2, 2, 2)
  assert sizes(1) == (1, 1, 1)
  assert sizes(8, data=4) == (4, 1, 1)


@pytest.mark.parametrize(
  'devices, kw, message',
  [
    (8, dict(data=3), 'a mesh of 3 does not divide the 8 devices'),
    (8, dict(fsdp=3), 'a mesh of 3 does not divide the 8 devices'),
    (1, dict(data=2), 'a mesh of 2 does not divide the 1 device there'),
    (8, dict(processes=2, data=4), 'a mesh of 4 does not take the 8 .* in 2 p'),
    (8, dict(data=0), 'parallel.data = 0: needs >= 1, or -1'),
    (8, dict(seq=-1), 'only one of data, fsdp, seq can be -1'),
    (8, dict(mode='pmap', fsdp=2), 'set parallel.fsdp=1 and parallel.seq=1'),
    (8, dict(mode='xmap'), "parallel.mode = 'xmap'; there are: jit, pmap"),
  ],
)
def test_meshes_that_do_not_fit_are_named(devices, kw, message):
  with pytest.raises(ValueError, match=message):
    sizes(devices, **kw)
