"""A prepared folder, written: text in, tokens and their manifest out."""

import array
import hashlib
import json
import logging
import pathlib
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

from extrapolation.data import integrity, sources, splits, tokenizers
from extrapolation.output import signed
from extrapolation.output.progress import megabytes

log = logging.getLogger('extrapolation.data')

UINT16_VOCAB = 1 << 16  # the largest vocabulary that uint16 holds
SAMPLE_BYTES = 32 << 20  # of text that a tokenizer is trained on, at most


def fill(
  new: pathlib.Path,
  parts: Sequence[sources.Part],
  key: dict,
  tokenizer: str,
  vocab: int,
  origin: str,
) -> dict[str, Any]:
  """Fills a folder: tokens and offsets per split, tokenizer, manifest last.

  Returns the manifest.
  """
  total = sum(read['bytes'] for read in key['inputs'])
  made = tokenizers.given(tokenizer)  # a wrong one is reported at once
  with megabytes('Reading text', total) as advance:
    text = splits.gather(parts, new / 'text', advance)
  if made is None:
    made = _trained(tokenizer, vocab, text, origin)
  made.save(new / 'tokenizer.json')
  if not made.lossless:
    log.warning(
      '%s may change text (case, spaces or characters): perplexity is of its '
      'tokens, and bits per byte are not known', made.name,
    )  # fmt: skip
  written = {split: _write(text, split, made, new) for split in text.spans}
  text.path.unlink()
  content = key | {
    'python': platform.python_version(),
    'tokenizer': {
      'name': made.name,
      'V': made.V,
      'eos': made.eos,
      'sha256': hashlib.sha256(made.model).hexdigest(),
    },
    'parts': _in_train(parts, text, new),
    'skipped': text.skipped,
    'splits': written,
  }
  content = signed.sign(content)
  lines = json.dumps(content, indent=1) + '\n'
  (new / 'manifest.json').write_text(lines, encoding='utf-8')
  return content


def _trained(
  tokenizer: str, vocab: int, text: splits.Text, origin: str
) -> tokenizers.Tokenizer:
  if 'train' not in text.spans:
    raise ValueError(
      f'{origin} has no split train to train {tokenizer} on; give one in '
      "data.source, or tokenizer='bytes'"
    )
  with megabytes(f'Training {tokenizer}', text.bytes('train')) as advance:
    return tokenizers.train(
      tokenizer, vocab, text.sample(SAMPLE_BYTES, advance)
    )


def _write(
  text: splits.Text,
  split: str,
  tokenizer: tokenizers.Tokenizer,
  to: pathlib.Path,
) -> dict:
  """Writes tokens and offsets of a split; returns its part of the manifest."""
  dtype = 'uint16' if tokenizer.V <= UINT16_VOCAB else 'uint32'
  eos = np.array([tokenizer.eos], dtype)
  ends, digest = array.array('q', [0]), hashlib.sha256()
  with (
    open(to / f'{split}.{dtype}', 'wb') as file,
    megabytes(f'Tokenising {split}', text.bytes(split)) as advance,
  ):
    for document in text.documents(split, tokenizer.cut):
      for piece in document:
        ids = tokenizer.encode(piece).astype(dtype)
        digest.update(ids)
        file.write(ids)
        advance(len(piece.encode()))
      digest.update(eos)
      file.write(eos)
      ends.append(file.tell() // eos.itemsize)
  offsets = np.frombuffer(ends, np.int64)
  np.save(to / f'{split}.offsets.npy', offsets)
  return {
    'bytes': text.bytes(split),
    'documents': len(text.spans[split]),
    'sha256': text.sha256(split),
    'tokens': ends[-1],
    'dtype': dtype,
    'tokens_sha256': digest.hexdigest(),
    'offsets_sha256': hashlib.sha256(offsets).hexdigest(),
  }


def _in_train(
  parts: Sequence[sources.Part], text: splits.Text, new: pathlib.Path
) -> list[dict]:
  """What each part gives to the train split, in order."""
  if 'train' not in text.spans:
    return []
  offsets = integrity.offsets(new / 'train.offsets.npy')
  counts = np.bincount(text.parts['train'], minlength=len(parts))
  return [
    {
      'weight': part.weight,
      'documents': int(n),
      'tokens': int(offsets[end] - offsets[end - n]),
    }
    for part, n, end in zip(parts, counts, np.cumsum(counts), strict=True)
    if n
  ]
