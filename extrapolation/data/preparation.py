"""From a source to a prepared corpus, once."""

import array
import hashlib
import importlib.metadata
import json
import pathlib
import platform

import numpy as np

from extrapolation.data import cache as caches
from extrapolation.data import corpora, splits
from extrapolation.data import dataset as datasets
from extrapolation.data import tokenizer as tokenizers
from extrapolation.data.progress import progress
from extrapolation.data.reading import digest

FORMAT = 2  # of the cache folder; part of its key
SMALL = 1 << 16  # vocabulary that uint16 holds
SAMPLE = 32 << 20  # bytes of text that a tokenizer is trained on, at most
LEARNED = ('bpe', 'unigram')


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
) -> datasets.Dataset:
  """Reads a source, trains its tokenizer, and writes its tokens once.

  source, valid, test: see `corpora.FORMS`; splits that are not given are held
    out, see `splits.gather`. 'prepared:DIR' reads what `out` wrote.
  separator: line that parts documents, or 'wikitext' for its articles; empty
    for the source's own: a file, a row, or what a builder takes for one.
  tokenizer: 'bytes' (ignores vocab), 'bpe' or 'unigram', of `vocab` tokens,
    trained on the train split alone; 'gpt2' or 'gpt2:DIR', GPT-2's own; or the
    path of a saved one, a .json.
  windows: 'contiguous' reads one stream; 'within' never crosses a document,
    see `pipeline.batches`.
  manual_dir: folder of the files that a TFDS builder reads.
  cache: folder; the result is kept there under a key of all inputs' content.
  out: folder for the result, in place of one in the cache.

  Several processes may call it at once: one prepares, the others wait for it.

  Raises ValueError or OSError, in one line, for bad input.
  """
  if '\n' in separator or separator != separator.strip('\r'):
    raise ValueError(f'separator = {separator!r} must be a single line')
  if windows not in datasets.WINDOWS:
    raise ValueError(
      f'no windows {windows!r}; there are {", ".join(datasets.WINDOWS)}'
    )
  _check_tokenizer(tokenizer)
  if source.startswith('prepared:'):
    if valid or test or out:
      raise ValueError(
        f'{source} has all its splits; it takes no data.valid, data.test or out'
      )
    return _prepared(source, tokenizer, vocab, windows)
  place = corpora.Place(separator, manual_dir, caches.root(cache))
  parts = corpora.parts(source, valid, test, place)
  key = _key(parts, source, valid, test, tokenizer, vocab)
  name = hashlib.sha256(json.dumps(key).encode()).hexdigest()
  folder = pathlib.Path(out).expanduser() if out else place.cache / name[:24]
  if out and folder.is_dir() and not any(folder.iterdir()):
    folder.rmdir()
  origin = ' + '.join(s for s in (source, valid, test) if s)
  if not folder.exists():
    with caches.making(folder) as new:
      if new:
        _make(new, parts, key | {'key': name}, tokenizer, vocab, origin)
  if out:
    _same(folder, name)
  named = tuple(p.source for p in parts)
  return datasets.load(folder, origin, windows, named)


def _check_tokenizer(tokenizer: str) -> None:
  kind = tokenizer.partition(':')[0]
  if not (
    tokenizer.endswith('.json')
    or tokenizer in tokenizers.KINDS
    or kind == 'gpt2'
  ):
    raise ValueError(
      f'no tokenizer {tokenizer!r}; there are '
      f'{", ".join(tokenizers.KINDS)}, gpt2, gpt2:DIR with its '
      'files, or the path of a saved one, a .json'
    )


def _key(parts, source, valid, test, tokenizer: str, vocab: int) -> dict:
  """All that decides what is written."""
  inputs = []
  known = {}  # an archive is read once for all that it holds
  for k, part in enumerate(parts):
    read = part.origin or [
      {'name': i.name, 'split': i.split} | _known(i, known) for i in part.inputs
    ]
    inputs += [{'part': k, **r} for r in read]
  return {
    'format': FORMAT,
    'inputs': inputs,
    # The same files give other documents to a builder.
    'builders': [p.source if p.origin else '' for p in parts],
    'weights': [p.weight for p in parts],
    'python': platform.python_version()
    if 'stdlib' in ' '.join((source, valid, test))
    else '',
    'separator': [p.separator for p in parts],
    'tokenizer_key': _tokenizer_key(tokenizer, vocab),
  }


def _known(entry, known: dict) -> dict:
  at = (entry.path, entry.member if entry.path.is_dir() else '')
  if at not in known:
    known[at] = digest(entry)
  return known[at]


def _tokenizer_key(tokenizer: str, vocab: int) -> list:
  kind, _, where = tokenizer.partition(':')
  if tokenizer.endswith('.json'):
    return ['saved', _sha256(pathlib.Path(tokenizer).expanduser())]
  if kind == 'gpt2':
    from extrapolation.data import gpt2

    return [kind, *(_sha256(p) for p in (gpt2.files(where) if where else ()))]
  if tokenizer == 'bytes':
    return [tokenizer]
  return [tokenizer, vocab, importlib.metadata.version('sentencepiece')]


def _sha256(path: pathlib.Path) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest()


def _make(
  new: pathlib.Path, parts, key: dict, tokenizer: str, vocab: int, origin: str
) -> None:
  """Fills a folder: tokens and offsets a split, tokenizer, manifest last."""
  total = sum(r['bytes'] for r in key['inputs'])
  made = _given(tokenizer)  # what is wrong with it is told at once
  with progress('Reading text', total) as advance:
    text = splits.gather(parts, new / 'text', advance)
  if made is None:
    made = _trained(tokenizer, vocab, text, origin)
  made.save(new / 'tokenizer.json')
  about = {s: _write(text, s, made, new) for s in text.spans}
  text.path.unlink()
  model = hashlib.sha256(made.model).hexdigest()
  manifest = key | {
    'python': platform.python_version(),
    'tokenizer': {
      'name': made.name,
      'V': made.V,
      'eos': made.eos,
      'sha256': model,
    },
    'parts': _parts(parts, text, new),
    'splits': about,
  }
  lines = json.dumps(manifest, indent=1) + '\n'
  (new / 'manifest.json').write_text(lines, encoding='utf-8')


def _given(tokenizer: str) -> tokenizers.Tokenizer | None:
  """A tokenizer that needs no training."""
  kind, _, where = tokenizer.partition(':')
  if tokenizer.endswith('.json'):
    return tokenizers.load(pathlib.Path(tokenizer).expanduser())
  if kind == 'gpt2':
    from extrapolation.data import gpt2

    return gpt2.load(where)
  return tokenizers.byte_level() if tokenizer == 'bytes' else None


def _trained(
  tokenizer: str, vocab: int, text: splits.Text, source: str
) -> tokenizers.Tokenizer:
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
    for document in text.documents(split, tokenizer.cut):
      for piece in document:
        ids = tokenizer.encode(piece).astype(dtype)
        digest.update(ids)
        file.write(ids)
        advance(int(tokenizer.byte_lengths[ids].sum()))
      digest.update(eos)
      file.write(eos)
      offsets.append(file.tell() // eos.itemsize)
  table = np.frombuffer(offsets, np.int64)
  np.save(to / f'{split}.offsets.npy', table)
  return {
    'bytes': text.bytes(split),
    'documents': len(text.spans[split]),
    'sha256': text.sha256(split),
    'tokens': offsets[-1],
    'dtype': dtype,
    'tokens_sha256': digest.hexdigest(),
    'offsets_sha256': hashlib.sha256(table).hexdigest(),
  }


def _parts(parts, text: splits.Text, new: pathlib.Path) -> list[dict]:
  """What each part gives to the train split, in order."""
  if 'train' not in text.spans:
    return []
  offsets = np.load(new / 'train.offsets.npy')
  count = np.bincount(text.parts['train'], minlength=len(parts))
  ends = np.cumsum(count)
  return [
    {
      'weight': part.weight,
      'documents': int(n),
      'tokens': int(offsets[end] - offsets[end - n]),
    }
    for part, n, end in zip(parts, count, ends, strict=True)
    if n
  ]


def _same(folder: pathlib.Path, name: str) -> None:
  """Raises ValueError unless a folder holds what was asked for."""
  try:
    there = json.loads((folder / 'manifest.json').read_text('utf-8'))['key']
  except (OSError, ValueError, KeyError, TypeError):
    there = ''
  if there != name:
    what = 'other prepared data' if there else 'something else'
    raise ValueError(
      f'{folder} holds {what} (another source, tokenizer or content); give '
      'another folder, or delete that one'
    )


def _prepared(
  source: str, tokenizer: str, vocab: int, windows: str
) -> datasets.Dataset:
  """What lies in the folder of `prepared:DIR`, if its tokenizer is the one."""
  folder = pathlib.Path(source.removeprefix('prepared:')).expanduser()
  if not (folder / 'manifest.json').is_file():
    raise FileNotFoundError(
      f'{source} is no finished folder of python -m extrapolation.data '
      '--out=DIR: it has no manifest.json'
    )
  made = datasets.load(folder, source, windows)
  there = made.manifest['tokenizer_key']
  # GPT-2 is one, wherever its files lie; no version makes another tokenizer.
  end = 1 if there[0] == 'gpt2' else 2
  if there[:end] != _tokenizer_key(tokenizer, vocab)[:end]:
    of = f' and data.vocab = {there[1]}' if there[0] in LEARNED else ''
    raise ValueError(
      f'{source} holds tokens of {made.tokenizer.name}, not of {tokenizer}'
      + (f' with vocab = {vocab}' if tokenizer in LEARNED else '')
      + f'; set data.tokenizer = {there[0]!r}{of}, or prepare it anew'
    )
  return made
