"""From a source to a prepared corpus, once."""

import array
import hashlib
import json
import pathlib
import platform
from collections.abc import Sequence

import numpy as np

from extrapolation.data import (
  folder_cache,
  manifest,
  sources,
  splits,
  tokenizers,
)
from extrapolation.data.dataset import WINDOWS, Dataset
from extrapolation.output.progress import megabytes

UINT16_VOCAB = 1 << 16  # the largest vocabulary that uint16 holds
SAMPLE_BYTES = 32 << 20  # of text that a tokenizer is trained on, at most


def prepare(
  *,
  source: str = 'stdlib',
  valid: str = '',
  test: str = '',
  separator: str = '',
  tokenizer: str = 'bytes',
  vocab: int = 8192,
  windows: str = 'contiguous',
  manual_dir: str = '',
  cache: str = '',
  out: str = '',
) -> Dataset:
  """Reads a source, trains its tokenizer, and writes its tokens once.

  source, valid, test: see `sources.FORMS`; splits that are not given are held
    out, see `splits.gather`. 'prepared:DIR' reads what `out` wrote.
  separator: line between documents, or 'wikitext' for its articles; empty for
    the source's own: a file, a row, or what a builder takes for one.
  tokenizer: 'bytes' (ignores vocab), 'bpe' or 'unigram', of `vocab` tokens,
    trained on the train split alone; 'gpt2' or 'gpt2:DIR', GPT-2's own; or the
    path of a saved one, a .json.
  windows: 'contiguous' reads one stream; 'within' never crosses a document,
    see `pipeline.batches`.
  manual_dir: folder of the files that a TFDS builder reads.
  cache: folder; the result is kept there under a key of all inputs' content.
  out: folder for the result, in place of one in the cache.

  Several processes may call it at once: one prepares, the others wait for it.

  Raises:
    ValueError, OSError: bad input, in one line.
  """
  if '\n' in separator or separator != separator.strip('\r'):
    raise ValueError(f'separator = {separator!r} must be a single line')
  if windows not in WINDOWS:
    raise ValueError(f'no windows {windows!r}; there are {", ".join(WINDOWS)}')
  tokenizers.check(tokenizer)
  if source.startswith('prepared:'):
    if valid or test or out:
      raise ValueError(
        f'{source} has all its splits; it takes no data.valid, data.test or out'
      )
    return manifest.load_prepared(source, tokenizer, vocab, windows)
  options = sources.Options(separator, manual_dir, folder_cache.root(cache))
  parts = sources.parts(source, valid, test, options)
  key = manifest.key(parts, (source, valid, test), tokenizer, vocab)
  name = manifest.name_of(key)
  folder = pathlib.Path(out).expanduser() if out else options.cache / name[:24]
  if out and folder.is_dir() and not any(folder.iterdir()):
    folder.rmdir()
  origin = ' + '.join(s for s in (source, valid, test) if s)
  with folder_cache.making(folder) as new:
    if new:
      _make(new, parts, key | {'key': name}, tokenizer, vocab, origin)
  if out:
    manifest.check_folder(folder, name)
  return Dataset.load(folder, origin, windows, [p.source for p in parts])


def _make(
  new: pathlib.Path,
  parts: Sequence[sources.Part],
  key: dict,
  tokenizer: str,
  vocab: int,
  origin: str,
) -> None:
  """Fills a folder: tokens and offsets per split, tokenizer, manifest last."""
  total = sum(read['bytes'] for read in key['inputs'])
  made = tokenizers.given(tokenizer)  # a wrong one is reported at once
  with megabytes('Reading text', total) as advance:
    text = splits.gather(parts, new / 'text', advance)
  if made is None:
    made = _trained(tokenizer, vocab, text, origin)
  made.save(new / 'tokenizer.json')
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
    'splits': written,
  }
  lines = json.dumps(content, indent=1) + '\n'
  (new / 'manifest.json').write_text(lines, encoding='utf-8')


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
        advance(int(tokenizer.byte_lengths[ids].sum()))
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
  offsets = np.load(new / 'train.offsets.npy')
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
