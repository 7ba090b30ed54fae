"""The length sweep: right sums, equal targets, and no flags given again."""

import json
import math
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import (
  config,
  evaluate,
  model,
  parallel,
  protocol,
  rpe,
  run,
  table,
  train,
)


def quiet(text):
  del text


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """The folder of one short run."""
  from tests import conftest

  path = tmp_path_factory.mktemp('run')
  c = conftest.tiny_config(path)
  train.train(c, str(path / 'run'), say=quiet)
  return path / 'run'


def by_hand(workdir, length, kind):
  """Nats of each target, one forward pass a window, in plain numpy."""
  r = run.load(str(workdir), say=quiet)
  tokens = np.asarray(r.text.tokens('test'))
  logits = jax.jit(r.model.logits)
  nats = {}
  for w in protocol.windows(len(tokens), length, kind, 64, 200):
    x = jnp.asarray(tokens[None, w.start : w.stop - 1], jnp.int32)
    lp = jax.nn.log_softmax(logits(r.params, x))[0]
    for t in range(w.score, w.stop):
      nats[t] = -float(lp[t - w.start - 1, tokens[t]])
  return nats, tokens, r.text.tokenizer


@pytest.mark.parametrize('kind', ['nonoverlap', 'sliding:4', 'last:8'])
def test_perplexity_is_that_of_each_target_by_hand(trained, kind):
  rows = evaluate.evaluate(str(trained), quiet, lengths=(8, 64), protocol=kind)
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
  (row,) = evaluate.evaluate(str(trained), quiet, lengths=(64,), tokens=200)
  nats, *_ = by_hand(trained, 64, 'nonoverlap')
  ends = [t for first in (1, 65, 129) for t in range(first + 48, first + 64)]
  mean = np.mean([nats[t] for t in ends])
  assert row['tokens_last'] == len(ends)  # the window of 8 targets is not full
  np.testing.assert_allclose(row['ppl_last'], math.exp(mean), rtol=1e-5)


def test_position_curve_is_a_mean_over_windows(trained):
  evaluate.evaluate(str(trained), quiet, lengths=(64,))
  curve = np.load(trained / 'eval' / 'test-nonoverlap-position-64.npy')
  nats, *_ = by_hand(trained, 64, 'nonoverlap')
  want = np.mean([nats[t] for t in (1, 65, 129, 193)])
  np.testing.assert_allclose(curve[0], want, rtol=1e-5)
  np.testing.assert_allclose(
    curve[50], np.mean([nats[t] for t in (51, 115, 179)]), rtol=1e-5
  )


def test_batch_size_changes_nothing(trained):
  a, b = (
    evaluate.evaluate(str(trained), quiet, lengths=(8,), batch_tokens=n)[0]
    for n in (8, 1000)
  )
  np.testing.assert_allclose(a['ppl'], b['ppl'], rtol=1e-6)


MANY = """
import json, sys
import jax, jax.numpy as jnp
from extrapolation import evaluate, model, parallel, run

kw = dict(say=lambda text: None, lengths=(8, 61, 64), batch_tokens=32)
full = evaluate.evaluate(sys.argv[1], **kw)
narrow = evaluate.evaluate(sys.argv[1], window='9', **kw)
layouts = [parallel.for_length(n, 99, 32)[0].mesh.shape for n in (8, 61, 64)]
assert [s['seq'] for s in layouts] == [1, 2, 2], layouts
assert parallel.for_length(4096, 1, 16384)[0].mesh.shape['seq'] == 8

def memory(layout, T):
  # Temporaries alone; the difference of two lengths is free of the tiles.
  m = run.load(sys.argv[1], say=lambda text: None).model
  like = layout.whole(jax.eval_shape(m.init, jax.random.key(0)))
  batch = jax.ShapeDtypeStruct((1, T + 1), jnp.int32)
  with jax.set_mesh(layout.mesh):
    f = jax.jit(lambda p, b: m.nll(p, *parallel.shifted(b)))
    return f.lower(like, batch).compile().memory_analysis().temp_size_in_bytes

one = parallel.layout(parallel.Settings(data=1))
eight = parallel.layout(parallel.Settings(data=1, seq=8))
growth = [memory(x, 65536) - memory(x, 16384) for x in (eight, one)]
print(json.dumps([full, narrow, growth[0] / growth[1]]))
"""


def test_many_devices_give_the_same_in_a_part_of_the_memory(trained):
  """Sequences, and tokens of what is too long for one, are spread over 8."""
  done = subprocess.run(
    [sys.executable, '-c', MANY, str(trained)],
    env=os.environ | dict(JAX_NUM_CPU_DEVICES='8'),
    capture_output=True, text=True, cwd=pathlib.Path(__file__).parent.parent,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr[-2000:]
  *tables, memory = json.loads(done.stdout.splitlines()[-1])
  for window, rows in zip(('full', '9'), tables, strict=True):
    want = evaluate.evaluate(
      str(trained), quiet, lengths=(8, 61, 64), window=window
    )
    for a, b in zip(rows, want, strict=True):
      for name in ('ppl', 'ppl_last', 'bits_per_byte', 'window_error_mean'):
        np.testing.assert_allclose(a[name], b[name], rtol=1e-5)
      assert a['tokens'] == b['tokens']
  assert memory < 1 / 3


def test_a_window_limits_the_keys_and_says_what_it_can_cost(trained):
  full, wide, narrow = (
    evaluate.evaluate(str(trained), quiet, lengths=(64,), window=w)[0]
    for w in ('full', '64', '4')
  )
  np.testing.assert_allclose(wide['ppl'], full['ppl'], rtol=1e-5)
  assert full['window_error'] == wide['window_error'] == 0
  assert abs(narrow['ppl'] - full['ppl']) > 1e-4
  assert 0 < narrow['window_error'] <= 2
  (certified,) = evaluate.evaluate(
    str(trained), quiet, lengths=(64,), window='certified:0.9'
  )
  assert 0 <= certified['window_error'] <= 1.0
  assert (trained / 'eval' / 'test-nonoverlap-window-4.csv').exists()


def test_files_and_columns(trained):
  evaluate.evaluate(str(trained), quiet)
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
    evaluate.evaluate(str(trained), quiet, **changes)
  assert sorted(trained.rglob('*')) == before


def test_a_folder_that_is_no_run(tmp_path):
  with pytest.raises(FileNotFoundError, match='not the folder of a run'):
    evaluate.evaluate(str(tmp_path), quiet)


def test_labels_name_what_is_not_default():
  c = config.override(config.base(), {'model.rpe': 'window'})
  assert evaluate.label(c) == 'window'
  c = config.override(
    config.base(), {'model.rpe': 'window', 'model.rpe_args.width': '9'}
  )
  assert evaluate.label(c) == 'window:width=9'
  c = config.override(config.base(), {
    'model.rpe': 't5', 'model.rpe_args.buckets': '16',
    'model.rpe_args.max_distance': '64',
  })  # fmt: skip
  assert evaluate.label(c) == 't5:buckets=16:max_distance=64'
  assert rpe.parse(evaluate.label(c)) == (
    't5', {'buckets': '16', 'max_distance': '64'}
  )  # fmt: skip


@pytest.mark.parametrize('window', [None, (300, 300)])
def test_memory_of_a_long_text_is_that_of_one_layer(window):
  layout = parallel.layout(parallel.Settings())
  shapes = [jnp.zeros((1, 2 * model.LONG + 1), int)]
  shapes += [] if window is None else [jnp.zeros((6, 2))]

  def temporary(N):
    m = model.make(32, rpe='alibi', N=N, D=32, H=2, F=32)
    tails = [x[:N] for x in shapes[1:]]
    params = jax.eval_shape(m.init, jax.random.key(0))
    f = evaluate._nll(m, window, layout).lower(params, shapes[0], *tails)
    return f.compile().memory_analysis().temp_size_in_bytes

  few, many = temporary(2), temporary(6)
  # Of every layer remain the bounds [B, T, H], and a copy of its parameters.
  kept = 4 * 2 * model.LONG * 2 * 4 * 4 if window else 0
  assert many - few < 0.1 * few + kept
