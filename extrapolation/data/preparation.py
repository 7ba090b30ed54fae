"""From a source to a prepared corpus, once."""

import dataclasses
import logging
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from extrapolation.data import (
  drawn,
  folder_cache,
  generated,
  integrity,
  manifest,
  masked_text,
  mixed,
  permissions,
  probes,
  sources,
  tokenizers,
  writing,
)
from extrapolation.data.dataset import WINDOWS, Dataset
from extrapolation.data.expected import Expected

log = logging.getLogger('extrapolation.data')

SPLIT_RULES = ('names', 'none')


def prepare(
  *,
  source: str = 'sample',
  valid: str = '',
  test: str = '',
  separator: str = '',
  tokenizer: str = 'bytes',
  vocab: int = 8192,
  windows: str = 'contiguous',
  manual_dir: str = '',
  field: str = '',
  splits: str = 'names',
  cache: str = '',
  out: str = '',
  expect: Mapping[str, Any] | None = None,
) -> Dataset:
  """Reads a source, trains its tokenizer, and writes its tokens once.

  source, valid, test: see `sources.FORMS`; splits that are not given are held
    out, see `splits.gather`. 'prepared:DIR' reads what `out` wrote; of a probe
    nothing is written, see `generated` and `mixed`, nor of a task, `drawn`;
    'masked:SHARE*SOURCE' is a text for encoders, see `masked_text`.
  separator: line between documents, or 'wikitext' for its articles; empty for
    the source's own: a file, a row, or what a builder takes for one.
  tokenizer: 'bytes' (ignores vocab), 'bpe' or 'unigram', of `vocab` tokens,
    trained on the train split alone; 'gpt2' or 'gpt2:DIR', GPT-2's own;
    'file:PATH', a SentencePiece .model or a tokenizer.json of your own, see
    `tokenizers.user_model`; or the path of a saved one, a .json.
  windows: 'contiguous' reads one stream; 'within' never crosses a document,
    'packed' puts several in a window, see `pipeline.batches`.
  manual_dir: folder of the files that a TFDS builder reads.
  field: of the text in a record of .jsonl, .json, .csv, .parquet ..; empty for
    `text`, or the only one it can be.
  splits: 'names' of files that say train, valid or test make these splits;
    'none' reads all files as one text.
  cache: folder; the result is kept there under a key of all inputs' content.
  out: folder for the result, in place of one in the cache.
  expect: manifest of the text that it must be, of one who may not be trusted
    with a place to write: digests are compared before anything is copied,
    `cache` is read at most, and what it lacks is made in the default one.

  What is made can be read by nobody who may not read the source, see
  `permissions`.

  Several processes may call it at once: one prepares, the others wait for it.

  Raises:
    ValueError, OSError: bad input, in one line.
  """
  if '\n' in separator or separator != separator.strip('\r'):
    raise ValueError(f'separator = {separator!r} must be a single line')
  if windows not in WINDOWS:
    raise ValueError(f'no windows {windows!r}; there are {", ".join(WINDOWS)}')
  if splits not in SPLIT_RULES:
    raise ValueError(f'splits = {splits!r}; there are {", ".join(SPLIT_RULES)}')
  tokenizers.check(tokenizer, vocab)
  text_options = dict(
    valid=valid,
    test=test,
    separator=separator,
    windows=windows,
    manual_dir=manual_dir,
    field=field,
    splits=splits,
    out=out,
  )
  if source.startswith(probes.PREFIX):
    generated.check_unused(source, text_options)
    return generated.make(source, tokenizer, expect)
  if drawn.is_task(source):
    generated.check_unused(source, text_options)
    return drawn.make(source, tokenizer, expect)
  if masked_text.is_masked(source):
    share, rest = masked_text.split(source)
    read = prepare(
      source=rest,
      tokenizer=tokenizer,
      vocab=vocab,
      cache=cache,
      expect=expect,
      **text_options,
    )
    return masked_text.of(source, share, read)
  if mixed.has_probe(source):
    generated.check_unused(source, dict(out=out))
    asked, rest = mixed.split(source, tokenizer)
    return mixed.Mixed.of(
      source,
      asked,
      prepare(
        source=rest,
        tokenizer=tokenizer,
        vocab=vocab,
        cache=cache,
        expect=mixed.of_text(expect),
        **text_options,
      ),
      expect,
    )
  expected = Expected.of(expect) if expect is not None else None
  if source.startswith('prepared:'):
    if valid or test or out:
      raise ValueError(
        f'{source} has all its splits; it takes no data.valid, data.test or out'
      )
    dataset = manifest.load_prepared(source, tokenizer, vocab, windows)
    if expected:
      expected.check(dataset.manifest)
    return dataset
  options = sources.Options(
    separator, field, splits, manual_dir, folder_cache.root(cache)
  )
  if expected:
    options = dataclasses.replace(
      options,
      cache=folder_cache.root(),
      also=options.cache,
      check=expected.check_inputs,
    )
  parts = sources.parts(source, valid, test, options)
  if not expected:
    for line in (line for part in parts for line in sources.lines(part)):
      log.info('%s', line)
  key = manifest.key(parts, (source, valid, test), tokenizer, vocab)
  name = integrity.name_of(key)
  origin = ' + '.join(s for s in (source, valid, test) if s)
  called = (origin, windows, [p.source for p in parts])
  if expected:
    expected.check_inputs(origin, key['inputs'], whole=True)
    theirs = folder_cache.root(cache) / name[:24]
    if theirs.is_dir() and os.access(theirs, os.R_OK | os.X_OK):
      dataset = Dataset.load(theirs, *called)
      if not expected.difference(dataset.manifest):
        return dataset
  read = [path for part in parts for path in part.read()]
  if out:
    folder = pathlib.Path(out).expanduser()
    mode = permissions.of_output(read)
    if folder.is_dir() and not any(folder.iterdir()):
      folder.rmdir()
  else:
    folder = options.cache / name[:24]
    mode = permissions.of_cached(options.cache, read)
  with folder_cache.making(folder, mode) as new:
    if new:
      made = writing.fill(
        new, parts, key | {'key': name}, tokenizer, vocab, origin
      )
      if expected:
        expected.check(made | {'source': origin})
  permissions.readable(folder)
  if out:  # which may hold anything
    manifest.check_folder(folder, name)
  dataset = Dataset.load(folder, *called)
  manifest.check_folder(folder, name)
  if expected:
    expected.check(dataset.manifest)
  return dataset
