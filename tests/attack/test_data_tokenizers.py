"""Models and files of ranks that make no tokenizer."""

import base64
import hashlib
import json

import pytest

from extrapolation import data
from extrapolation.data import tokenizers

from ..data.conftest import prose


def saved(path, name, model):
  digest = hashlib.sha256(model).hexdigest()[:8]
  model = base64.b64encode(model).decode()
  path.write_text(json.dumps({'name': f'{name}-{digest}', 'model': model}))
  return path


def ranks(pairs):
  return b''.join(
    base64.b64encode(token) + f' {rank}\n'.encode() for token, rank in pairs
  )


BYTES = [(bytes([b]), b) for b in range(256)]
MODELS = {
  'bpe empty': ('bpe330', b''),
  'bpe binary': ('bpe330', bytes(range(256)) * 9),
  'unigram one piece': ('unigram9', b'\x0a\x08\x0a\x01a\x15\x00\x00\x80\x3f'),
  'unigram NaN': ('unigram9', b'\x0a\x08\x0a\x01a\x15\x00\x00\xc0\x7f'),
  'no kind': ('evil', b'x'),
  'no text': ('gpt2', b'x'),
  'ranks of few bytes': ('gpt2', ranks(BYTES[:255])),
  'ranks with a gap': ('gpt2', ranks([*BYTES, (b'ab', 300)])),
  'a negative rank': ('gpt2', ranks([*BYTES, (b'ab', -1)])),
  'a huge rank': ('gpt2', ranks([*BYTES, (b'ab', 10**30)])),
  'one rank twice': ('gpt2', ranks([*BYTES, (b'ab', 255)])),
  'one token twice': ('gpt2', ranks([*BYTES, (b'a', 256)])),
  'three words': ('gpt2', ranks(BYTES) + b'YQ== 256 257\n'),
  'no number': ('gpt2', ranks(BYTES) + b'YWI= x\n'),
  'no base64': ('gpt2', ranks(BYTES) + b'!!! 256\n'),
}


@pytest.mark.parametrize('what', MODELS)
def test_models_of_tokenizers(tmp_path, what):
  path = saved(tmp_path / 't.json', *MODELS[what])
  with pytest.raises(ValueError, match='save it again') as error:
    tokenizers.load(path)
  assert '\n' not in str(error.value) and str(path) in str(error.value)


FILES = {
  'empty': (b'', b''),
  'list': (b'#version\n', b'[]'),
  'nested': (b'#version\n', b'[' * 100_000),
  'one word': (b'#version\na\n', b'{}'),
  'unknown letters': (b'#version\n\xe2\x82\xac a\n', b'{}'),
  'binary': (bytes(range(256)), b'{}'),
  'binary vocabulary': (b'#version\n', bytes(range(256))),
  'negative': (b'#version\n', b'{"a": -1}'),
}


@pytest.mark.parametrize('what', FILES)
def test_files_of_ranks(tmp_path, what):
  for name, content in zip(
    ('vocab.bpe', 'encoder.json'), FILES[what], strict=True
  ):
    (tmp_path / name).write_bytes(content)
  with pytest.raises(ValueError, match='fetch them again') as error:
    data.prepare(tokenizer=f'gpt2:{tmp_path}', cache=str(tmp_path / 'c'))
  assert '\n' not in str(error.value) and str(tmp_path) in str(error.value)


def test_a_model_that_changes_text_is_no_tokenizer(tmp_path):
  """Its bytes would not be those of the text, nor bits for each the same."""
  import sentencepiece as spm
  from sentencepiece import sentencepiece_model_pb2 as pb2

  sound = tokenizers.train('bpe', 330, [prose(60)]).model
  proto = pb2.ModelProto.FromString(sound)
  proto.normalizer_spec.remove_extra_whitespaces = True
  model = proto.SerializeToString()
  assert spm.SentencePieceProcessor(model_proto=model).vocab_size() == 330
  path = saved(tmp_path / 't.json', 'bpe330', model)
  with pytest.raises(ValueError, match='does not give back the text'):
    tokenizers.load(path)
