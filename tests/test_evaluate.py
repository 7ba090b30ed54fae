"""The length sweep: right sums, equal targets, and no flags given again."""

import itertools
import math
import operator
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from extrapolation import config, evaluate, runs, train
from extrapolation.evaluation import eval_windows
from extrapolation.output import table
from extrapolation.parallel import mesh


@pytest.fixture(scope='module')
def trained(trained, tmp_path_factory):
  """A copy of the run that all tests share, to be scored in many ways."""
  return shutil.copytree(trained, tmp_path_factory.mktemp('run') / 'run')


def by_hand(workdir, length, kind):
  """Nats of each target, one forward pass per window, in plain numpy."""
  r = runs.load(str(workdir))
  tokens = np.asarray(r.text().tokens('test'))
  logits = jax.jit(r.model.logits)
  nats = {}
  for w in eval_windows.windows((0, len(tokens)), length, kind, 64, 200):
    x = jnp.asarray(tokens[None, w.start : w.stop - 1], jnp.int32)
    lp = scipy.special.log_softmax(logits(r.params, x)[0], -1)
    for t in range(w.score, w.stop):
      nats[t] = -float(lp[t - w.start - 1, tokens[t]])
  return nats, tokens, r.tokenizer


@pytest.mark.parametrize('kind', ['nonoverlap', 'sliding:4', 'last:8'])
def test_perplexity_is_that_of_each_target_by_hand(trained, kind):
  rows = evaluate.evaluate(str(trained), lengths=(8, 64), protocol=kind)
  for row in rows:
    nats, tokens, tokenizer = by_hand(trained, row['length'], kind)
    total = sum(nats.values())
    assert row['tokens'] == len(nats)
    np.testing.assert_allclose(
      row['ppl'], math.exp(total / len(nats)), rtol=1e-5
    )
    size = len(tokenizer.decode(tokens[sorted(nats)]).encode())
    assert row['bytes'] == size
    np.testing.assert_allclose(
      row['bits_per_byte'], total / size / math.log(2), rtol=1e-5
    )
  assert rows[0]['tokens'] == rows[1]['tokens'] == 200


def test_ppl_last_is_over_the_end_of_each_full_window(trained):
  (row,) = evaluate.evaluate(str(trained), lengths=(64,), tokens=200)
  nats, *_ = by_hand(trained, 64, 'nonoverlap')
  ends = [t for first in (1, 65, 129) for t in range(first + 48, first + 64)]
  mean = np.mean([nats[t] for t in ends])
  assert row['tokens_last'] == len(ends)  # the window of 8 targets is not full
  np.testing.assert_allclose(row['ppl_last'], math.exp(mean), rtol=1e-5)


def cut(path):
  """Text in documents of 7 lines, 110 to 160 bytes, parted by blank ones."""
  lines = path.read_text().splitlines(keepends=True)
  ends = ('\n' * (i % 7 == 6) for i in range(len(lines)))
  path.write_text(''.join(map(operator.add, lines, ends)))


def test_a_length_of_no_document_is_refused_before_training(tiny, tmp_path):
  for path in (tmp_path / 'text').iterdir():
    cut(path)
  changes = {'data.separator': 'blank', 'data.windows': 'packed'}
  changes |= {'train.valid_every': '0', 'eval.lengths': '8,1024'}
  e = config.override(tiny, changes)
  with pytest.raises(ValueError, match=r'eval.lengths, .*1024 is longer than'):
    train.train(e, str(tmp_path / 'run'))
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  'windows', [pytest.param('within', marks=pytest.mark.slow), 'packed']
)
def test_a_run_within_documents_is_scored_within_them(
  windows, tiny, tmp_path, capsys
):
  for path in (tmp_path / 'text').iterdir():
    cut(path)
  changes = {'data.separator': 'blank', 'data.windows': windows}
  changes |= {'train.steps': '2', 'train.valid_every': '0'}
  within = tmp_path / 'run'
  train.train(config.override(tiny, changes), str(within))
  r = runs.load(str(within))
  offsets = r.text().offsets('test').tolist()
  tokens = np.asarray(r.text().tokens('test'))
  logits = jax.jit(r.model.logits)
  rows = evaluate.evaluate(str(within), lengths=(8, 64, 128), tokens=400)
  assert 'are in shorter documents' in capsys.readouterr().out
  assert [row['crosses_documents'] for row in rows] == [0, 0, 0]
  assert [row['within_documents'] for row in rows] == [1, 1, 1]
  for row in rows:
    nats = []
    for a, b in itertools.pairwise(offsets):
      for start in range(a, b - 1, row['length']):
        stop = min(start + row['length'] + 1, b)
        x = np.zeros((1, row['length']), np.int32)  # what follows is not seen
        x[0, : stop - 1 - start] = tokens[start : stop - 1]
        lp = scipy.special.log_softmax(logits(r.params, x)[0], -1)
        nats += [-lp[t - start - 1, tokens[t]] for t in range(start + 1, stop)]
      if len(nats) >= 400:
        break
    assert row['tokens'] == 400
    want = math.exp(np.mean(nats[:400]))
    np.testing.assert_allclose(row['ppl'], want, rtol=1e-5)


def test_how_many_windows_cross_documents_is_said(trained, tmp_path, capsys):
  text = tmp_path / 'other.txt'
  text.write_text(''.join(f'{i} plus {i} is {i + i}.\n' for i in range(99)))
  cut(text)
  rows = evaluate.evaluate(
    str(trained), lengths=(8, 64), tokens=300, source=f'files:{text}',
    separator='blank', out=str(tmp_path / 'out'),
  )  # fmt: skip
  assert 'data.windows = contiguous' in capsys.readouterr().out
  sizes = [len(part) + 2 for part in text.read_text().split('\n\n')]
  offsets = np.cumsum(sizes)  # a newline and an eos after each document
  for row in rows:
    starts = range(0, 300, row['length'])
    ends = [min(start + row['length'], 300) for start in starts]
    crossing = [
      any(a < o <= b for o in offsets)
      for a, b in zip(starts, ends, strict=True)
    ]
    assert row['crosses_documents'] == sum(crossing) > 0


def test_position_curve_is_a_mean_over_windows(trained):
  evaluate.evaluate(str(trained), lengths=(64,))
  curve = np.load(trained / 'eval' / 'test-nonoverlap-position-64.npy')
  nats, *_ = by_hand(trained, 64, 'nonoverlap')
  want = np.mean([nats[t] for t in (1, 65, 129, 193)])
  np.testing.assert_allclose(curve[0], want, rtol=1e-5)
  np.testing.assert_allclose(
    curve[50], np.mean([nats[t] for t in (51, 115, 179)]), rtol=1e-5
  )


def test_batch_size_changes_nothing(trained):
  a, b = (
    evaluate.evaluate(str(trained), lengths=(8,), batch_tokens=n)[0]
    for n in (8, 1000)
  )
  np.testing.assert_allclose(a['ppl'], b['ppl'], rtol=1e-6)


@pytest.mark.parametrize(
  'window', ['full', pytest.param('9', marks=pytest.mark.slow)]
)
def test_many_devices_give_what_one_gives(trained, window, monkeypatch):
  """Sequences, and tokens of what is too long for one, are spread over 8."""
  kw = dict(lengths=(8, 61), window=window)
  shapes = [mesh.for_length(n, 99, 32)[0].mesh.shape for n in kw['lengths']]
  assert [shape['seq'] for shape in shapes] == [1, 2]
  assert mesh.for_length(4096, 1, 16384)[0].mesh.shape['seq'] == 8
  many = evaluate.evaluate(str(trained), batch_tokens=32, **kw)
  one = mesh.layout(config.Parallel(data=1))
  monkeypatch.setattr(mesh, 'for_length', lambda *a: (one, 2))
  for a, b in zip(many, evaluate.evaluate(str(trained), **kw), strict=True):
    for name in ('ppl', 'ppl_last', 'bits_per_byte', 'window_error_mean'):
      np.testing.assert_allclose(a[name], b[name], rtol=1e-5)
    assert a['tokens'] == b['tokens']


@pytest.mark.slow
def test_many_devices_take_a_part_of_the_memory(trained):
  """Temporaries; the difference of two lengths is free of the tiles."""
  m = runs.load(str(trained)).model
  shapes = jax.eval_shape(m.init, jax.random.key(0))

  def memory(layout, T):
    params = layout.replicated(shapes)
    batch = jax.ShapeDtypeStruct((1, T + 1), jnp.int32)
    with jax.set_mesh(layout.mesh):
      f = jax.jit(lambda p, b: m.nll(p, *mesh.shifted(b)))
      used = f.lower(params, batch).compile().memory_analysis()
    return used.temp_size_in_bytes

  def growth(layout):
    return memory(layout, 65536) - memory(layout, 16384)

  one = mesh.layout(config.Parallel(data=1))
  eight = mesh.layout(config.Parallel(data=1, seq=8))
  assert growth(eight) / growth(one) < 1 / 3


def test_a_window_limits_the_keys_and_says_what_it_can_cost(trained):
  full, wide, narrow = (
    evaluate.evaluate(str(trained), lengths=(64,), window=w)[0]
    for w in ('full', '64', '4')
  )
  np.testing.assert_allclose(wide['ppl'], full['ppl'], rtol=1e-5)
  assert full['window_error'] == wide['window_error'] == 0
  assert abs(narrow['ppl'] - full['ppl']) > 1e-4
  assert 0 < narrow['window_error'] <= 2
  (certified,) = evaluate.evaluate(
    str(trained), lengths=(64,), window='certified:0.9'
  )
  assert 0 <= certified['window_error'] <= 1.0
  assert (trained / 'eval' / 'test-nonoverlap-window-4.csv').exists()


def test_files_and_columns(trained_copy):
  trained = trained_copy
  shutil.rmtree(trained / 'eval', ignore_errors=True)
  evaluate.evaluate(str(trained))
  names = {p.name for p in (trained / 'eval').iterdir()}
  assert {'test-nonoverlap.csv', 'test-nonoverlap.png',
          'test-nonoverlap-position.png'} <= names  # fmt: skip
  rows = table.read(trained / 'eval' / 'test-nonoverlap.csv')
  assert [row['length'] for row in rows] == [8, 16, 64]
  for key in ('rpe', 'seed', 'commit', 'device', 'versions', 'step', 'split'):
    assert rows[0][key] not in (None, ''), key


@pytest.mark.parametrize(
  'changes, message',
  [
    (dict(lengths=(10**6,)), 'length 1000000 is longer than the text: [0-9]+'),
    (dict(lengths=(0,)), '0 is not a length'),
    (dict(protocol='sliding:65'), 'more than the shortest length, 8, has'),
    (dict(split='dev'), "eval.split = 'dev'; there are: train, valid, test"),
    (dict(step=5), 'no checkpoint of step 5.*2, 4, 6'),
    (dict(lengths=(256,)), 'raise it to 256'),
  ],
)
def test_mistakes_are_named(trained, changes, message):
  before = sorted(trained.rglob('*'))
  with pytest.raises(ValueError, match=message):
    evaluate.evaluate(str(trained), **changes)
  assert sorted(trained.rglob('*')) == before


def test_a_folder_that_is_no_run(tmp_path):
  with pytest.raises(FileNotFoundError, match='not the folder of a run'):
    evaluate.evaluate(str(tmp_path))
