"""Mixtures, sources that need a network, and prepared folders."""

import json
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from extrapolation import data
from extrapolation.data import SPLITS, network, splits
from extrapolation.data.sources import corpora

from .conftest import prose


def two(write):
  """Folders a (with splits) and b (without), of different alphabets."""
  files = {f'a/{s}.txt': 'abc\n' * 400 for s in SPLITS}
  files |= {f'b/{i}.txt': f'{i} xyz\n' * 90 for i in range(20)}
  return write(files)


def test_mixtures_are_parsed(write, monkeypatch):
  root = write({'a+files/x.txt': 'x', 'b/y.txt': 'y'})
  a, b = f'files:{root}/a+files', f'files:{root}/b/*.txt'
  for text, weights in (
    (f'mix:{a}+{b}', (0, 0)),
    (f'mix:0.25*{a}+0.75*{b}', (0.25, 0.75)),
    (f'mix:1*{a}+3*{b}', (0.25, 0.75)),
    (f'mix:1e-1*{a}+.3*{b}', (0.25, 0.75)),
    (f'mix:{a}', (0,)),
  ):
    parts = corpora.parts(text)
    assert [p.source for p in parts] == [a, b][: len(weights)]
    np.testing.assert_allclose([p.weight for p in parts], weights)


@pytest.mark.parametrize(
  'text, says',
  [
    ('mix:0.5*files:{a}+files:{b}', 'give every part a weight, or none'),
    ('mix:0*files:{a}+1*files:{b}', 'weight 0 must be a number above 0'),
    ('mix:-1*files:{a}+1*files:{b}', 'weight -1 must be'),
    ('mix:.*files:{a}+1*files:{b}', 'weight . must be'),
    ('mix:', "no text source ''"),
    ('mix:files:{a}+mix:files:{b}', 'cannot hold another'),
    ('mix:files:{a}+files:{c}', 'no train split, which a part'),
    ('mix:files:{a}+files:none', 'files:none: no such file'),
    ('mix:files:{a}+prepared:x', 'no such file'),
  ],
)
def test_mixtures_that_are_not(write, text, says):
  root = write({'a/x': 'x', 'b/y': 'y', 'c/valid.txt': 'v', 'c/test.txt': 't'})
  source = text.format(**{n: root / n for n in 'abc'})
  with pytest.raises((ValueError, OSError), match=says) as error:
    corpora.parts(source)
  assert '\n' not in str(error.value)


def test_a_weighted_mixture_is_prepared_and_read(write, tmp_path):
  root = two(write)
  made = data.prepare(
    source=f'mix:0.9*files:{root}/a+0.1*files:{root}/b', cache=str(tmp_path)
  )
  parts = made.manifest['parts']
  assert [p['weight'] for p in parts] == [0.9, 0.1]
  about = made.manifest['splits']
  count = parts[1]['documents']
  assert parts[0]['documents'] == 1 and 10 < count < 20
  # Held out of the second part alone.
  held = about['valid']['documents'] + about['test']['documents']
  assert count + held == 20 + 2
  assert sum(p['tokens'] for p in parts) == len(made.tokens('train'))
  assert f'of files:{root}/b: {count} documents' in made.summary()
  stream = made.batches(B=10, T=20, seed=0)
  batch = np.concatenate([stream[k] for k in range(20)])
  of_a = np.isin(batch, [*b'abc']).any(1)
  assert of_a.sum() == 180
  assert not np.isin(batch[of_a], [*b'xyz']).any()
  once = data.prepare(
    source=f'mix:files:{root}/a+files:{root}/b', cache=str(tmp_path)
  )
  assert once.tokens('train').tobytes() == made.tokens('train').tobytes()
  assert once.folder != made.folder
  assert len(once.batches(B=1, T=20, seed=0)[0]) == 1


def test_held_out_documents_of_parts_alternate(write, tmp_path):
  files = {f'{p}/train.txt': 't\n' for p in 'ab'}
  files |= {'a/valid.txt': '##\n'.join(['aaaa\n'] * 40)}
  files |= {'b/valid.txt': '##\n'.join(['bbbb\n'] * 10)}
  root = write(files)
  made = data.prepare(
    source=f'mix:files:{root}/a+files:{root}/b', separator='##',
    test=f'files:{root}/a/valid.txt', cache=str(tmp_path),
  )  # fmt: skip
  text = made.tokenizer.decode(made.tokens('valid')).replace('\n', '')
  assert len(text) == 200
  for end in range(40, 201, 40):
    assert abs(text[:end].count('b') - end / 5) <= 8


def test_a_tokenizer_learns_from_a_mixture_by_weight(write, tmp_path):
  root = write({f'{p}/train.txt': f'{p * 9}\n' * 90_000 for p in 'ab'})
  a, b = f'files:{root}/a', f'files:{root}/b'
  for source, wanted in (
    (f'mix:0.9*{a}+0.1*{b}', (0.9, 0.1)),
    (f'mix:{a}+{b}', (0.5, 0.5)),
  ):
    text = splits.gather(corpora.parts(source), tmp_path / 'text')
    sample = ''.join(text.sample(200_000))
    for letter, share in zip('ab', wanted, strict=True):
      assert abs(sample.count(letter * 9) * 10 - share * 2e5) < 20_000


def test_prepared_folders(write, tmp_path):
  root = write({f'{i}.txt': prose(40, i) for i in range(9)})
  out = tmp_path / 'out'
  plain = dict(source=f'files:{root}', tokenizer='bpe', vocab=330)
  plain |= dict(cache=str(tmp_path / 'c'))
  first = data.prepare(**plain, out=str(out))
  assert first.folder == out and not list((tmp_path / 'c').glob('*'))
  assert data.prepare(**plain, out=str(out)).manifest == first.manifest
  moved = out.rename(tmp_path / 'moved')
  again = data.prepare(source=f'prepared:{moved}', tokenizer='bpe', vocab=330)
  assert again.tokens('train').tobytes()
  assert again.manifest['splits'] == first.manifest['splits']
  assert 'train' in again.summary()
  for wrong in (dict(tokenizer='bytes'), dict(tokenizer='bpe', vocab=331)):
    with pytest.raises(
      ValueError, match=r"of bpe330-.*data\.tokenizer = 'bpe' and .* = 330"
    ):
      data.prepare(source=f'prepared:{moved}', **wrong)
  with pytest.raises(FileNotFoundError, match=r'no manifest\.json'):
    data.prepare(source=f'prepared:{tmp_path}')
  with pytest.raises(ValueError, match='it takes no data.valid'):
    data.prepare(source=f'prepared:{moved}', valid='stdlib')


def test_out_never_overwrites(write, tmp_path):
  root, out = two(write), tmp_path / 'out'
  out.mkdir()  # an empty folder is as good as none
  data.prepare(source=f'files:{root}/a', out=str(out))
  before = {p.name: p.read_bytes() for p in out.iterdir()}
  with pytest.raises(ValueError, match='out holds other prepared data'):
    data.prepare(source=f'files:{root}/b', out=str(out))
  assert before == {p.name: p.read_bytes() for p in out.iterdir()}
  with pytest.raises(ValueError, match='corpus holds something else'):
    data.prepare(source=f'files:{root}/b', out=str(root))
  assert (root / 'a' / 'train.txt').exists()


def test_windows_within_documents(write, tmp_path):
  root = two(write)
  made = data.prepare(
    source=f'files:{root}/b', windows='within', cache=str(tmp_path)
  )
  eos, offsets = made.tokenizer.eos, made.offsets('train')
  stream = made.batches(B=8, T=100, seed=0)
  batch = np.concatenate([stream[k] for k in range(20)])
  assert not (batch[:, :-1] == eos).any() and (batch[:, -1] == eos).any()
  assert 'within documents: 0 shorter documents (0.00%' in made.summary(100)
  most = int(np.diff(offsets).max())
  assert f'{len(offsets) - 1:,} shorter documents (100.00%' in made.summary(
    most
  )
  with pytest.raises(ValueError, match=f'at most T = {most - 1};'):
    made.batches(B=1, T=most, seed=0)
  with pytest.raises(ValueError, match="no windows 'with'"):
    data.prepare(source=f'files:{root}/b', windows='with')


def test_a_refusal_takes_seconds(monkeypatch):
  monkeypatch.setattr(network, 'SECONDS', 0.3)
  with socket.create_server(('127.0.0.1', 0)) as silent:
    url = f'http://127.0.0.1:{silent.getsockname()[1]}/'
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=f'x needs .* {url} .*: do y$'):
      network.require('x', url, 'do y')
    assert time.monotonic() - start < 5


def test_a_name_server_that_hangs_is_not_waited_for(monkeypatch):
  monkeypatch.setattr(network, 'SECONDS', 0.2)
  monkeypatch.setattr(
    socket, 'getaddrinfo', lambda *a, **k: time.sleep(3) or []
  )
  start = time.monotonic()
  with pytest.raises(ConnectionError, match='no answer'):
    network.require('x', 'http://example.invalid/', 'do y')
  assert time.monotonic() - start < 2.5


CLI = [sys.executable, '-m', 'extrapolation.data']


def command(*arguments, **env):
  env = {'PATH': '', 'PYTHONPATH': ':'.join(sys.path), **env}
  return subprocess.run(
    [*CLI, *arguments], capture_output=True, text=True, env=env, timeout=60
  )


def test_the_command(write, tmp_path):
  root = write({f'{s}.txt': prose(300) for s in SPLITS})
  arguments = [f'--source=files:{root}', '--tokenizer=bpe', '--vocab=330']
  ran = command(*arguments, f'--out={tmp_path}/o', HOME=str(tmp_path))
  assert (ran.returncode, ran.stderr) == (0, '')
  assert ran.stdout.splitlines()[-1].endswith(f's; {tmp_path}/o')
  about = json.loads((tmp_path / 'o' / 'manifest.json').read_text())
  assert {'inputs', 'tokenizer', 'splits', 'key'} <= {*about}
  ran = command(f'--source=prepared:{tmp_path}/o', HOME=str(tmp_path))
  error, hint = ran.stderr.splitlines()
  assert ran.returncode == 2 and 'EXTRAPOLATION_TRACEBACK' in hint
  assert error.startswith('error: ')
  assert "set data.tokenizer = 'bpe'" in error


@pytest.mark.parametrize(
  'arguments, says',
  [
    (dict(source='hf:Salesforce/wikitext/wikitext-2-v1'), 'files:PATH of its'),
    (dict(source='tfds:pg19'), 'tfds build pg19 --file_format=array_record'),
    (dict(source='wikibook'), 'Salesforce/wikitext'),
    (dict(tokenizer='gpt2'), 'gpt2:DIR of a folder with vocab.bpe'),
  ],
)
def test_without_a_network_it_says_what_to_do(
  tmp_path, monkeypatch, arguments, says
):
  for name in ('HOME', 'TIKTOKEN_CACHE_DIR', 'TFDS_DATA_DIR'):
    monkeypatch.setenv(name, str(tmp_path))
  monkeypatch.setenv('HF_ENDPOINT', 'http://127.0.0.1:9')
  monkeypatch.setenv('https_proxy', '127.0.0.1:9')
  start = time.monotonic()
  with pytest.raises((ValueError, OSError), match=says) as error:
    data.prepare(**arguments, cache=str(tmp_path / 'cache'))
  assert time.monotonic() - start < 10 * 3  # 10 s, on a machine of our own
  assert '\n' not in str(error.value)
