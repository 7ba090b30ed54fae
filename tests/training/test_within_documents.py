"""Runs that read each document by itself: validation, resuming, refusals."""

import itertools
import shutil

import jax
import numpy as np
import pytest
import scipy.special

from extrapolation import config, runs, train
from extrapolation.training import loop

WINDOWS = ('packed', 'within')


@pytest.fixture
def tiny_documents(tiny, tmp_path):
  """The config of a tiny run on documents of 20 to 140 bytes."""
  for path in (tmp_path / 'text').iterdir():
    lines = path.read_text().splitlines(keepends=True)
    size = itertools.cycle((1, 5, 2, 7, 1, 3))
    text, i = [], 0
    while i < len(lines):
      n = next(size)
      text.append(''.join(lines[i : i + n]))
      i += n
    path.write_text('\n'.join(text))
  # Short enough that attention is its own definition, which compiles fast.
  changes = {'data.separator': 'blank', 'train.T': '14', 'model.N': '1'}
  return config.override(tiny, changes)


def with_(c, **changes):
  return config.override(
    c, {k.replace('__', '.'): str(v) for k, v in changes.items()}
  )


@pytest.mark.parametrize(
  'windows', ['packed', pytest.param('within', marks=pytest.mark.slow)]
)
def test_validation_crosses_no_document(windows, tiny_documents, tmp_path):
  c = with_(tiny_documents, data__windows=windows, train__valid_tokens=500)
  train.train(c, str(tmp_path / 'run'))
  r = runs.load(str(tmp_path / 'run'))
  tokens = np.asarray(r.text().tokens('valid'))
  logits = jax.jit(r.model.logits)
  nats = []
  for a, b in itertools.pairwise(r.text().offsets('valid').tolist()):
    for start in range(a, b - 1, 14):
      ids = tokens[start : min(start + 15, b)].astype(np.int32)
      x = np.zeros((1, 14), np.int32)  # what follows is not seen
      x[0, : len(ids) - 1] = ids[:-1]
      lp = scipy.special.log_softmax(logits(r.params, x)[0], -1)
      nats += [-lp[i, t] for i, t in enumerate(ids[1:])]
  row = runs.read_metrics(str(tmp_path / 'run'))[-1]
  assert len(nats) > 500
  np.testing.assert_allclose(row['valid_loss'], np.mean(nats[:500]), rtol=1e-5)


def test_a_packed_run_resumes_to_the_same_bits(
  tiny_documents, tmp_path, capsys
):
  c = with_(tiny_documents, data__windows='packed')
  train.train(c, str(tmp_path / 'run'))
  out = capsys.readouterr().out
  assert 'packed windows of 14: ' in out and '% padding' in out
  again = shutil.copytree(tmp_path / 'run', tmp_path / 'again')
  for step in ('4', '6'):
    shutil.rmtree(again / 'checkpoints' / step)
  train.train(c, str(again))
  assert 'after step 2' in capsys.readouterr().out
  a, b = (runs.load(str(p)).params for p in (tmp_path / 'run', again))
  jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize('windows', WINDOWS)
def test_a_validation_text_shorter_than_a_window(
  windows, tiny_documents, tmp_path
):
  """Is scored whole within documents, and refused where there are none."""
  (tmp_path / 'text' / 'valid.txt').write_text('seven.\n')
  c = with_(tiny_documents, data__windows=windows)
  tokens, weights, documents = loop.valid_windows(train._text(c), c.train)
  assert weights.sum() == 6 + 1 and documents.shape == weights.shape
  assert bytes(tokens[0, :7].astype(np.uint8).tolist()) == b'seven.\n'
  stream = with_(c, data__windows='contiguous')
  with pytest.raises(ValueError, match='train.T = 14 is longer than the valid'):
    train.train(stream, str(tmp_path / 'run'))


def test_an_unknown_kind_of_windows_is_named(tiny_documents, tmp_path):
  c = with_(tiny_documents, data__windows='pack')
  with pytest.raises(ValueError, match='there are contiguous, within, packed'):
    train.train(c, str(tmp_path / 'run'))
  assert not (tmp_path / 'run').exists()
