"""A prepared corpus: token streams on disk, their tokenizer and origin."""

import array
import dataclasses
import hashlib
import importlib.metadata
import json
import pathlib
import platform

import numpy as np
from jaxtyping import Int64, UInt

from extrapolation.data import cache as caches
from extrapolation.data import corpora, splits
from extrapolation.data import tokenizer as tokenizers
from extrapolation.data.progress import progress

FORMAT = 1  # of the cache folder; part of its key
SMALL = 1 << 16  # vocabulary that uint16 holds
SAMPLE = 32 << 20  # bytes of text that a tokenizer is trained on, at most


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """A corpus as token streams, one a split, each document followed by eos."""

  folder: pathlib.Path
  manifest: dict
  tokenizer: tokenizers.Tokenizer

  def tokens(self, split: str) -> UInt[np.ndarray, ' n']:
    """Token ids of a split in order, uint16 or uint32, mapped from disk."""
    about = self._about(split)
    path = self.folder / f'{split}.{about["dtype"]}'
    return np.memmap(path, about['dtype'], mode='r', shape=(about['tokens'],))

  def offsets(self, split: str) -> Int64[np.ndarray, ' d']:
    """Document i is tokens[offsets[i]:offsets[i + 1]], its eos the last."""
    self._about(split)
    return np.load(self.folder / f'{split}.offsets.npy')

  def bytes(self, split: str) -> int:
    """Number of UTF-8 bytes of text in a split."""
    return self._about(split)['bytes']

  def summary(self) -> str:
    """What was read, one line a split."""
    about, lines = self.manifest, []
    for split, of in about['splits'].items():
      lines.append(
        f'{split:5} {of["bytes"]:13,} bytes {of["documents"]:8,} documents '
        f'{of["tokens"]:13,} {self.tokenizer.name} tokens  '
        f'sha256 {of["sha256"][:12]}  {about["source"]}, '
        f'Python {about["python"]}'
      )
    return '\n'.join(lines)

  def _about(self, split: str) -> dict:
    if split not in self.manifest['splits']:
      has = ', '.join(self.manifest['splits'])
      raise ValueError(
        f'{self.manifest["source"]} has no split {split!r}, only {has}; give '
        f'it a source of its own in data.{split}'
      )
    return self.manifest['splits'][split]


def prepare(
  *,
  source: str = 'stdlib',
  valid: str = '',
  test: str = '',
  separator: str = '',
  tokenizer: str = 'bytes',
  vocab: int = 8192,
  cache: str = '',
) -> Dataset:
  """Reads a source, trains its tokenizer, and writes its tokens once.

  source, valid, test: 'stdlib' or 'files:PATH', see `corpora.inputs`; splits
    that are not given are held out, see `splits.gather`.
  separator: line that parts documents; empty for one document a file.
  tokenizer: 'bytes' (ignores vocab), 'bpe' or 'unigram', of `vocab` tokens,
    trained on the train split alone; or the path of a saved one, a .json.
  cache: folder; the result is kept there under a key of all inputs' content.

  Raises ValueError or FileNotFoundError, in one line, for bad input.
  """
  if '\n' in separator or separator != separator.strip('\r'):
    raise ValueError(f'separator = {separator!r} must be a single line')
  if not tokenizer.endswith('.json') and tokenizer not in tokenizers.KINDS:
    raise ValueError(
      f'no tokenizer {tokenizer!r}; there are {", ".join(tokenizers.KINDS)}, '
      'or the path of a saved one, a .json'
    )
  origin = ' + '.join(s for s in (source, valid, test) if s)
  found = corpora.inputs(source, valid, test)
  read = [{'name': i.name, 'split': i.split, **_digest(i.path)} for i in found]
  key = {
    'format': FORMAT,
    'inputs': read,
    'python': platform.python_version()
    if 'stdlib' in (source, valid, test)
    else '',
    'separator': separator,
    'tokenizer': _tokenizer_key(tokenizer, vocab),
  }
  digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
  folder = caches.root(cache) / digest[:24]
  if not folder.exists():
    with caches.making(folder) as new:
      if new:
        total = sum(r['bytes'] for r in read)
        with progress('Reading text', total) as advance:
          text = splits.gather(origin, found, separator, new / 'text', advance)
        made = _tokenizer(tokenizer, vocab, text, origin)
        made.save(new / 'tokenizer.json')
        about = {s: _write(text, s, made, new) for s in text.spans}
        text.path.unlink()
        manifest = key | {
          'python': platform.python_version(),
          'tokenizer': {'name': made.name, 'V': made.V, 'eos': made.eos},
          'splits': about,
        }
        lines = json.dumps(manifest, indent=1) + '\n'
        (new / 'manifest.json').write_text(lines, encoding='utf-8')
  return _load(folder, origin)


def _digest(path: pathlib.Path) -> dict:
  with open(path, 'rb') as file:
    digest = hashlib.file_digest(file, 'sha256')
    return {'bytes': file.tell(), 'sha256': digest.hexdigest()}


def _tokenizer_key(tokenizer: str, vocab: int) -> list:
  if tokenizer.endswith('.json'):
    return ['saved', _digest(pathlib.Path(tokenizer).expanduser())['sha256']]
  if tokenizer == 'bytes':
    return [tokenizer]
  return [tokenizer, vocab, importlib.metadata.version('sentencepiece')]


def _tokenizer(
  tokenizer: str, vocab: int, text: splits.Text, source: str
) -> tokenizers.Tokenizer:
  if tokenizer.endswith('.json'):
    return tokenizers.load(pathlib.Path(tokenizer).expanduser())
  if tokenizer == 'bytes':
    return tokenizers.byte_level()
  if 'train' not in text.spans:
    raise ValueError(
      f'{source} has no split train to train {tokenizer} on; give one in '
      "data.source, or tokenizer='bytes'"
    )
  with progress(f'Training {tokenizer}', text.bytes('train')) as advance:
    return tokenizers.train(tokenizer, vocab, text.sample(SAMPLE, advance))


def _write(
  text: splits.Text,
  split: str,
  tokenizer: tokenizers.Tokenizer,
  to: pathlib.Path,
) -> dict:
  """Writes tokens and offsets of a split; returns its part of the manifest."""
  dtype = 'uint16' if tokenizer.V <= SMALL else 'uint32'
  eos = np.array([tokenizer.eos], dtype)
  offsets, digest = array.array('q', [0]), hashlib.sha256()
  with (
    open(to / f'{split}.{dtype}', 'wb') as file,
    progress(f'Tokenising {split}', text.bytes(split)) as advance,
  ):
    for document in text.documents(split):
      for piece in document:
        ids = tokenizer.encode(piece).astype(dtype)
        digest.update(ids)
        file.write(ids)
        advance(len(piece))
      digest.update(eos)
      file.write(eos)
      offsets.append(file.tell() // eos.itemsize)
  np.save(to / f'{split}.offsets.npy', np.frombuffer(offsets, np.int64))
  return {
    'bytes': text.bytes(split),
    'documents': len(text.spans[split]),
    'sha256': text.sha256(split),
    'tokens': offsets[-1],
    'dtype': dtype,
    'tokens_sha256': digest.hexdigest(),
  }


def _load(folder: pathlib.Path, source: str) -> Dataset:
  try:
    manifest = json.loads((folder / 'manifest.json').read_text('utf-8'))
    data = Dataset(
      folder,
      manifest | {'source': source},
      tokenizers.load(folder / 'tokenizer.json'),
    )
    for split, about in manifest['splits'].items():
      path = folder / f'{split}.{about["dtype"]}'
      if _digest(path)['sha256'] != about['tokens_sha256']:
        raise ValueError(f'{path.name} has changed')
      if data.offsets(split)[-1] != about['tokens']:
        raise ValueError(f'{split}.offsets.npy has changed')
  except (ValueError, KeyError, OSError) as error:
    raise ValueError(
      f'the prepared data in {folder} is damaged ({error}); delete that folder '
      'and run again'
    ) from None
  return data
