"""What all tests share: the encodings under test, a config for tiny runs."""

import pathlib

import pytest
from ml_collections import ConfigDict

from extrapolation import config, rpe

H = 4


@pytest.fixture(params=rpe.names())
def encoding(request) -> rpe.RPE:
  """Every encoding there is, for H heads; a new file is under every law."""
  return rpe.get(request.param, H)


def tiny_config(path: pathlib.Path) -> ConfigDict:
  """A config that trains in a second or two, on text made for it in `path`."""
  (path / 'text').mkdir()
  for split, lines in dict(train=900, valid=120, test=200).items():
    text = ''.join(f'{i} squared is {i * i}.\n' for i in range(lines))
    (path / 'text' / f'{split}.txt').write_text(text)
  c = config.base()
  c.data.update(source=f'files:{path}/text', cache=str(path / 'cache'))
  c.model.update(rpe='kerple_log', N=2, D=16, H=2, F=32, dropout=0.0)
  c.optim.update(lr=1e-2, warmup=2)
  c.train.update(T=16, B=4, steps=6, log_every=1, checkpoint_every=2)
  c.train.update(valid_every=3, valid_tokens=64)
  c.eval.update(lengths=(8, 16, 64), tokens=200, batch_tokens=128)
  return config.override(c, {})


@pytest.fixture
def tiny(tmp_path) -> ConfigDict:
  return tiny_config(tmp_path)
