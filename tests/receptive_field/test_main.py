"""The command on finished runs: files, numbers that agree, mistakes named."""

import csv
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import config, train
from extrapolation.attention import reference as dense
from extrapolation.receptive_field import __main__ as command
from extrapolation.receptive_field import window_check
from extrapolation.receptive_field.fields import NETWORK
from tests.receptive_field import small

FLAGS = ('--length=32', '--tokens=160', '--eps=0.5,0.1', '--resamples=20',
         '--recomputed=4', '--batch_tokens=64')  # fmt: skip


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """Two short runs: one with a scan and a bias a layer, one without bias."""
  from tests import conftest

  path = tmp_path_factory.mktemp('runs')
  c = conftest.tiny_config(path)
  one = {'model.scan': 'true', 'model.rpe_per_layer': 'true'}
  one |= {'model.remat': 'true'}
  for name, changes in dict(
    a=one, b={'model.rpe': 'sinusoidal', 'model.N': '1'}
  ).items():
    changes |= {'train.valid_every': '0'}
    train.train(config.override(c, changes), f'{path}/{name}')
  return path


@pytest.fixture(scope='module')
def measured(trained):
  """What one command over both prints, and the folder."""
  import contextlib
  import io

  with contextlib.redirect_stdout(io.StringIO()) as out:
    command.main([f'--workdir={trained}/a,{trained}/b', *FLAGS])
  return out.getvalue(), trained


def record(measured, name):
  path = measured[1] / name / 'receptive_field' / 'test-32.json'
  return json.loads(path.read_text())


def test_every_field_is_there_with_its_interval_and_cost(measured):
  a = record(measured, 'a')
  assert set(a['network']) == {*NETWORK, 'truncation', 'trf', 'trf_composed'}
  for name, found in a['network'].items():
    for e in ('0.5', '0.1'):
      f = found[e]
      assert 1 <= f['n'] <= 32, name
      if name != 'truncation':
        assert f['low'] <= f['n'] <= f['high'], name
  assert a['about']['windows'] == 5 and a['about']['train_length'] == 16
  assert len(a['heads']) == 4 and a['heads'][3]['layer'] == 2
  costs = {c['estimator']: c for c in a['costs']}
  assert costs['gradient']['windows'] == 5
  assert costs['truncation']['windows'] in (3, 4)
  for c in costs.values():
    assert c['flops'] > 0 and c['seconds'] > 0 and c['formula']
  assert a['settings']['seed'] == 0 and a['provenance']['commit']
  curve = a['truncation']
  assert [c['context'] for c in curve] == [1, 2, 4, 8, 16, 32]
  assert curve[-1]['excess'] == 0


def test_heads_stand_beside_theory_for_their_own_layer(measured):
  heads = record(measured, 'a')['heads']
  rpe = json.loads((measured[1] / 'a' / 'rpe.json').read_text())
  for h in heads:
    r1, r2 = (
      rpe['final'][k][h['layer'] - 1][h['head'] - 1] for k in ('r1', 'r2')
    )
    w = (1 + r2 * np.arange(32.0)) ** -r1
    assert h['far_mass'] == pytest.approx(w[16:].sum() / w.sum(), rel=1e-4)
    infinite = h['trf']['0.1'] == dict(low=None, high=None)
    assert infinite == (r1 <= 1) == (h['verdict'] == 'diverges')
    below = 1 + int((np.cumsum(w) <= 0.9 * w.sum()).sum())
    assert abs(h['trf_below']['0.1'] - below) <= 1
    far = h['far_mass_seen']
    assert 0 <= far['low'] <= far['share'] <= far['high'] <= 1
    low, high = h['far_mass_between']  # by the span of the logits
    assert 0 < low <= far['share'] * (1 + 1e-5)
    assert far['share'] <= high * (1 + 1e-5) < 1
    assert low < h['far_mass'] < high


def test_without_a_function_of_distance_the_rest_is_measured(measured):
  said, _ = measured
  b = record(measured, 'b')
  assert 'sinusoidal is not judged: order enters through embed' in said
  assert 'vacuous' in said and 'within' in said
  assert set(b['network']) == {*NETWORK, 'truncation'}
  assert 'trf' not in b['heads'][0] and 'far_mass' not in b['heads'][0]
  assert b['heads'][0]['attention_mass']['0.1']['n'] > 1


def test_table_figure_and_comparison(measured):
  said, folder = measured
  with open(folder / 'a' / 'receptive_field' / 'test-32.csv') as f:
    rows = list(csv.DictReader(f))
  a = record(measured, 'a')
  for row in rows:
    if row['estimator'] == 'gradient':
      assert int(row['n']) == a['network']['gradient'][row['eps']]['n']
      assert int(row['flops_a_window']) > 0 and row['layer'] == ''
    if row['estimator'] == 'trf' and row['layer']:
      assert float(row['low']) <= float(row['high'])
      assert math.isinf(float(row['low'])) or float(row['low']) >= 1
  kinds = {r['estimator'] for r in rows}
  assert {'far_mass', 'far_mass_seen', 'logit_bound', 'trf_below'} <= kinds
  for path in (folder / 'a' / 'receptive_field' / 'test-32.png',
               folder / 'receptive_field-32.png'):  # fmt: skip
    assert path.read_bytes()[:4] == b'\x89PNG' and path.stat().st_size > 20_000
  both = json.loads((folder / 'receptive_field-32.json').read_text())
  assert len(both['runs']) == 2
  pairs = {(r['first'], r['second']) for r in both['ranks']}
  assert ('trf', 'gradient') in pairs and ('gradient', 'rollout') in pairs
  assert all(r['rho'] is None for r in both['ranks'])  # two encodings
  assert 'bound' in said and 'gflop_a_window' in said and '[2/2]' in said


def test_certificates_hold_and_are_not_empty():
  """With small logits the bound says something, and the error is within it."""
  n = 96
  m, params = small.make('type2')
  for layer in params['layers'].values():
    layer['qkv'] = jax.tree.map(
      lambda x: x.at[..., :16].multiply(0.02), layer['qkv']
    )
  tokens = small.batch(n, windows=3)
  keys = window_check.widths(n, 16)
  assert keys == [6, 16, 24, 48]
  rows = window_check.check(m, params, tokens, keys)
  for row in rows:
    assert 0 < row['seen'] <= row['bound'] <= row['prior'] < 1.9
    assert 0 < row['bound_mean'] <= row['bound']
    assert row['seen'] > row['bound'] / 40
    assert abs(row['nats']) <= row['nats_max'] > 0 < row['logits_max']
    assert row['nats_bound'] is None or row['nats_bound'] >= row['nats_max']

  @jax.jit
  def errors(params, tokens):
    out = []

    def attend(q, k, v, bias, layer):
      del layer
      o, _ = dense.attend(q, k, v, bias)
      near = jnp.where(jnp.arange(n) < 16, bias, -jnp.inf)
      moved = jnp.linalg.norm(dense.attend(q, k, v, near)[0] - o, axis=-1)
      out.append(moved.max(1) / jnp.linalg.norm(v, axis=-1).max(1))
      return o

    m.hidden(params, tokens, attend=attend)
    return jnp.stack(out)

  largest = float(errors(params, tokens[:, :-1]).max())
  assert rows[1]['seen'] == pytest.approx(largest, rel=1e-4)
  for key in ('seen', 'bound', 'bound_mean', 'prior'):
    fall = [row[key] for row in rows]
    assert fall == sorted(fall, reverse=True)


@pytest.mark.parametrize(
  'flags, message',
  [
    (['--workdir=nowhere', '--length=32'], 'not the folder of a run'),
    (['--length=99999'], '--length=99999 is longer than the text: [0-9]+ is'),
    (['--tokens=31'], '--tokens=31 is less than one window of --length=32'),
    (['--eps=0'], 'eps = 0: a share in'),
    (['--eps=1.5,0.1'], 'eps = 1.5: a share in'),
    (['--split=dev'], "no split 'dev'"),
    (['--step=5'], 'no checkpoint of step 5'),
    (['--out=x'], '--out is where several runs are compared'),
    (['--workdir=,'], '--workdir is empty'),
    (['--nats=inf'], '--nats=inf: needs'),
  ],
)
def test_mistakes_are_named_and_lose_nothing(measured, flags, message):
  folder = measured[1]
  before = {p: p.stat().st_mtime_ns for p in folder.rglob('*') if p.is_file()}
  with pytest.raises((ValueError, OSError), match=message):
    command.main([f'--workdir={folder}/a', *FLAGS, *flags])
  after = {p: p.stat().st_mtime_ns for p in folder.rglob('*') if p.is_file()}
  assert after == before


def test_what_cannot_be_written_is_told_before_the_work(measured, tmp_path):
  folder, file = measured[1], tmp_path / 'file'
  file.touch()
  both = f'--workdir={folder}/a,{folder}/b'
  with pytest.raises(OSError, match='file.: File exists; it must be a folder'):
    command.main([both, f'--out={file}', *FLAGS])
  with pytest.raises(ValueError, match='names .*/a. twice'):
    command.main([f'--workdir={folder}/a,{folder}/../{folder.name}/a', *FLAGS])
  empty = tmp_path / 'empty'
  empty.mkdir()
  (empty / 'config.json').write_text((folder / 'a/config.json').read_text())
  with pytest.raises(FileNotFoundError, match='no complete checkpoint in'):
    command.main([f'--workdir={folder}/a,{empty}', f'--out={tmp_path}', *FLAGS])


def test_windows_are_shorter_than_the_text():
  assert window_check.widths(32, 64) == [2, 8, 16]
  assert window_check.widths(32, 16) == [2, 8, 16]
  assert window_check.widths(2, 64) == [1]


def test_runs_of_several_folders_need_a_place_to_go(measured):
  folder = measured[1]
  with pytest.raises(ValueError, match='give --out=DIR'):
    command.main([f'--workdir={folder}/a,{folder.parent}/b', *FLAGS])


@pytest.mark.slow
def test_composed_runs_are_measured(tmp_path, capsys):
  """By the command; theory stands beside what is a table by i - j alone."""
  from tests import conftest

  c = conftest.tiny_config(tmp_path)
  specs = 'type1@forget', 'harmonic*log_n:whole=true', 'none/window:width=8'
  folders = [f'{tmp_path}/{i}' for i in range(len(specs))]
  for spec, folder in zip(specs, folders, strict=True):
    changes = {'model.rpe': spec, 'train.valid_every': '0'}
    train.train(config.override(c, changes), folder)
  command.main([f'--workdir={",".join(folders)}', *FLAGS])
  said = capsys.readouterr().out
  records = [
    json.loads((tmp_path / str(i) / 'receptive_field/test-32.json').read_text())
    for i in range(len(specs))
  ]
  assert said.count('no function of i - j') == 2
  for r, judged in zip(records, (False, False, True), strict=True):
    assert set(NETWORK) <= set(r['network'])
    assert ('trf' in r['network']) == judged
    assert ('trf' in r['heads'][0]) == judged
    assert all((row['bound'] is not None) == judged for row in r['windows'])
    assert all(row['seen'] > 0 for row in r['windows'])
  first, last = (records[2]['heads'][i] for i in (0, 3))
  assert first['trf']['0.1'] == dict(low=None, high=None)  # none diverges
  assert last['trf']['0.1'] == dict(low=8, high=8)
  assert last['attention_mass']['0.1']['n'] <= 8
