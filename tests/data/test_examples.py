"""Probes as data sets: batches, mixtures with text, and bad input."""

import numpy as np
import pytest

from extrapolation import data
from extrapolation.data import probes, tokenizers

B, T = 8, 48
MIXED = 'mix:0.25*probe:needle+0.25*probe:recall:pairs=2+0.5*files:{}'


def batches(text, k=0, **kw):
  return text.batches(**dict(B=B, T=T, seed=3) | kw)[k]


def equal(a, b):
  for x, y in zip(a, b, strict=True):
    np.testing.assert_array_equal(x, y)


@pytest.fixture
def mixed(write, tmp_path):
  from tests.data import conftest

  root = write({
    f'{split}/{i}.txt': conftest.prose(12, i)
    for split in ('train', 'valid', 'test')
    for i in range(30)
  })  # fmt: skip

  def make(**kw):
    kw = dict(cache=str(tmp_path / 'cache')) | kw
    return data.prepare(source=MIXED.format(root), **kw)

  return make


@pytest.fixture(params=['probe', 'contiguous', 'within', 'packed'])
def text(request, mixed):
  if request.param == 'probe':
    return data.prepare(source='probe:needle:values=4')
  return mixed(windows=request.param)


def test_batch_k_is_a_function_of_seed_and_k(text):
  first = [batches(text, k) for k in range(4)]
  for k in (3, 0, 2):  # in any order, by another stream
    equal(batches(text, k), first[k])
  assert (first[0].tokens != first[1].tokens).any()
  assert (batches(text, seed=4).tokens != first[0].tokens).any()
  assert batches(text, 10**9).tokens.shape == (B, T + 1)


@pytest.mark.parametrize('count', [2, 4])
def test_processes_read_the_rows_of_one_batch(text, count):
  for k in (0, 7):
    parts = [
      batches(text, k, process_index=i, process_count=count)
      for i in range(count)
    ]
    equal(map(np.concatenate, zip(*parts, strict=True)), batches(text, k))


def test_a_batch_of_a_probe_is_its_examples():
  text = data.prepare(source='probe:needle:values=4')
  batch = batches(text, 2)
  probe = probes.parse('needle:values=4')
  for row in range(B):
    e = probes.example(probe, 2 * B + row, T, seed=3, stream='train')
    np.testing.assert_array_equal(batch.tokens[row], e.tokens)
    np.testing.assert_array_equal(batch.weights[row], e.weights)
  assert batch.weights.sum() == B
  (one,) = text.examples
  assert set(batch.tokens[:, -1]) <= {*one.answers.tolist()} == {*range(16, 20)}


def test_splits_have_no_example_in_common():
  text = data.prepare(source='probe:needle')
  shown = [text.beginning(s, T, 20 * T).tokens for s in ('valid', 'test')]
  shown.append(batches(text, B=20, seed=0).tokens)
  rows = {tuple(row) for part in shown for row in part.tolist()}
  assert len(rows) == 60
  equal(text.beginning('valid', T, 20 * T), text.beginning('valid', T, 20 * T))


def of_probes(text, batch):
  """The number of the probe of each row, or -1, by what it looks like."""
  shown = [text.tokenizer.decode(row) for row in batch.tokens]
  return np.array([
    0 if x[-2] == '?' and x[-1] in 'ABCDEFGHIJKLMNOP'
    else 1 if x[-2] in x[:-2] and x[-2] in '0123456789!#$%&*' and ' ' not in x
    else -1
    for x in shown
  ])  # fmt: skip


@pytest.mark.parametrize('windows', ['contiguous', 'within', 'packed'])
def test_a_mixture_draws_sequences_by_its_weights(mixed, windows):
  text = mixed(windows=windows)
  own = text.text.batches(B=B, T=T, seed=3)
  kinds = []
  for k in range(40):
    batch, of_text = batches(text, k), own[k]
    of = of_probes(text, batch)
    kinds += of.tolist()
    answers = np.array([1, 2, 0])[of]  # per row, of probes
    np.testing.assert_array_equal(batch.weights.sum(1)[of >= 0],
                                  answers[of >= 0])  # fmt: skip
    whole = of_text if isinstance(of_text, tuple) else (
      of_text, np.ones((B, T)))  # fmt: skip
    for x, y in zip(batch, whole, strict=True):  # all else is the text's
      np.testing.assert_array_equal(x[of < 0], y[of < 0])
    if windows == 'packed':
      assert not batch.documents[of >= 0].any()
  for kind, share in ((0, 0.25), (1, 0.25), (-1, 0.5)):
    n, p = kinds.count(kind), share
    assert abs(n - 320 * p) < 4 * np.sqrt(320 * p * (1 - p))


def test_symbols_are_bytes_of_a_mixture(mixed):
  text = mixed()
  batch = batches(text)
  row = batch.tokens[of_probes(text, batch) == 0][0]
  assert bytes(row.tolist()).decode()[-2] == '?' and text.tokenizer.V == 257


def test_validation_of_a_mixture_has_text_and_answers(mixed):
  text = mixed()
  of_text = text.text.beginning('valid', T, 20 * T)
  tokens, weights = text.beginning('valid', T, 20 * T)
  np.testing.assert_array_equal(tokens[:20], of_text)
  assert weights[:20].all() and len(tokens) == 40
  assert weights[20:].sum() == 10 + 10 * 2


def test_a_text_is_read_as_before(mixed):
  text = mixed().text
  assert text.examples == () and isinstance(batches(text), np.ndarray)
  for split in ('train', 'valid', 'test'):  # what a run is scored on
    np.testing.assert_array_equal(text.tokens(split), mixed().tokens(split))
    np.testing.assert_array_equal(text.offsets(split), mixed().offsets(split))


def test_what_is_recorded_changes_with_the_probe_and_its_weight(write):
  path = write({'train.txt': 'one two\n' * 40, 'valid.txt': 'three\n' * 40,
                'test.txt': 'four\n' * 40})  # fmt: skip
  sources = [
    'probe:needle', 'probe:needle:values=4', 'probe:copy',
    f'mix:0.5*probe:copy+0.5*files:{path}',
    f'mix:0.25*probe:copy+0.75*files:{path}', f'files:{path}',
  ]  # fmt: skip
  manifests = [data.prepare(source=s).manifest for s in sources]
  for split in ('train', 'valid', 'test'):
    digests = {m['splits'][split]['tokens_sha256'] for m in manifests}
    assert len(digests) == len(sources)
  for source, manifest in zip(sources, manifests, strict=True):
    data.prepare(source=source, expect=manifest)
    for other in manifests:
      if other is not manifest:
        with pytest.raises(ValueError, match='is not the one that was read|is '
                                             'damaged'):  # fmt: skip
          data.prepare(source=source, expect=other)


def test_a_vocabulary_is_saved_as_a_tokenizer(tmp_path):
  text = data.prepare(source='probe:recall')
  path = tmp_path / 'tokenizer.json'
  text.tokenizer.save(path)
  loaded = tokenizers.load(path)
  assert loaded.dumps() == text.tokenizer.dumps()
  symbols = probes.parse('recall').vocabulary.symbols
  ids = loaded.encode(symbols)
  np.testing.assert_array_equal(ids, np.arange(len(symbols)))
  assert loaded.decode(ids) == symbols and loaded.V == len(symbols)
  assert loaded.decode([loaded.eos]) in symbols
  assert loaded.byte_lengths.sum() == len(symbols.encode())
  with pytest.raises(ValueError, match="'\xe9' is no symbol of this voc"):
    loaded.encode('ab\xe9')
  again = data.prepare(source='probe:recall', tokenizer=str(path))
  equal(batches(again), batches(text))


@pytest.mark.parametrize(
  'model',
  [b'{}', b'[]', b'{"symbols": "aa", "first": 0}', b'{"symbols": 3}',
   b'{"symbols": "ab", "first": 2}', b'{"symbols": "ab", "first": true}',
   b'{"symbols": "a\\ud800", "first": 0}', b'x'],
)  # fmt: skip
def test_a_damaged_vocabulary_is_one_line(tmp_path, model):
  import base64
  import hashlib
  import json

  name = f'symbols2-{hashlib.sha256(model).hexdigest()[:8]}'
  saved = dict(name=name, model=base64.b64encode(model).decode())
  path = tmp_path / 'tokenizer.json'
  path.write_text(json.dumps(saved))
  with pytest.raises(ValueError, match='holds no sound vocabulary') as error:
    tokenizers.load(path)
  assert '\n' not in str(error.value)


def test_symbols_are_read_as_those_of_another_vocabulary(tmp_path):
  path = tmp_path / 'tokenizer.json'
  data.prepare(source='probe:needle').tokenizer.save(path)
  own = data.prepare(source='probe:needle:values=4', tokenizer=str(path))
  assert own.tokenizer.V == 33
  row = batches(own).tokens[0]
  assert own.tokenizer.decode(row)[-2] == '?'
  with pytest.raises(ValueError, match="recall.*'0' is not one token of sym"):
    data.prepare(source='probe:recall', tokenizer=str(path))


@pytest.mark.parametrize(
  'source, kw, says',
  [
    ('probe:nedle', {}, "no probe 'nedle' .did you mean 'needle'"),
    ('probe:needle:size=3', {}, "has no hyperparameter 'size'; it has: values"),
    ('probe:needle', dict(valid='sample'), 'takes no data.valid = sample'),
    ('probe:needle', dict(windows='packed'), 'takes no data.windows = packed'),
    ('probe:needle', dict(separator='x'), 'takes no data.separator = x'),
    ('probe:needle', dict(tokenizer='bpe'), "not tokens of 'bpe'; leave"),
    ('probe:needle', dict(out='x'), 'takes no data.out = x'),
    ('mix:0.2*probe:needle+0.9*sample', {}, 'weights sum to 1.1; .* sum to 1$'),
    ('mix:0.2*probe:needle+sample', {}, 'sample has no weight'),
    ('mix:0.2*probe:needle+0.8*foo:x', {}, "no source '0.8.foo:x'; write "),
    ('mix:0.2*probe:nedle+0.8*sample', {}, "no probe 'nedle'"),
    ('mix:1*probe:needle', {}, 'probes alone; a mixture needs a text'),
    ('mix:0.5*probe:needle+0.5*sample', dict(out='x'), 'no data.out = x'),
    ('mix:0.5*probe:needle:values=40+0.5*sample', {},
     "its symbol '.' is not one token of bytes; give its groups fewer"),
  ],
)  # fmt: skip
def test_bad_sources_are_one_line(source, kw, says):
  with pytest.raises(ValueError, match=says) as error:
    data.prepare(source=source, **kw)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('source', ['probe:recall', MIXED])
def test_a_length_without_room_is_found_before_a_batch(source, mixed):
  text = mixed() if source == MIXED else data.prepare(source=source)
  with pytest.raises(ValueError, match='has no room at length 8; it needs'):
    text.batches(B=B, T=8, seed=0)


def test_a_probe_has_no_text():
  text = data.prepare(source='probe:needle')
  with pytest.raises(ValueError, match='probe:needle draws examples'):
    text.tokens('test')


def test_the_command_draws_an_example(capsys):
  from extrapolation.data import __main__ as command

  command.main(['--source=probe:recall:pairs=2'])
  shown = capsys.readouterr().out
  symbols = probes.parse('recall').vocabulary.symbols
  assert f'{len(symbols)} symbols {symbols}' in shown
  assert '16 possible answers' in shown and 'shortest length 9' in shown
  text, marks = shown.rstrip('\n').splitlines()[-2:]
  probe = probes.parse('recall')
  ids = [probe.vocabulary.id(x) for x in text.strip()]
  at = [i - 6 for i, x in enumerate(marks) if x == '^']
  assert len(at) == 2 and all(probe.oracle(ids[:i]) == ids[i] for i in at)
