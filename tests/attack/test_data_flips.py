"""Bytes flipped, and files cut, in all that was prepared.

Whatever happens to a byte is found, or harmless, or refused in one line that
names the file; nothing is ever read as other tokens, or as another number.
"""

import collections
import gzip
import hashlib
import json
import lzma
import random
import shutil
import zipfile

import pytest

from extrapolation import data

from ..data.conftest import prose

SEED = 13
MANY = 8  # positions for each file, besides its ends; ten times as many slowly
ARGUMENTS = dict(tokenizer='bpe', vocab=330)


def texts(root):
  root.mkdir(parents=True)
  for i in range(6):
    (root / f'{i}.txt').write_text(prose(12, i))
  return root


def prepared(root, place):
  source = f'files:{texts(root)}'
  data.prepare(source=source, out=str(place), **ARGUMENTS)
  return lambda: data.prepare(source=f'prepared:{place}', **ARGUMENTS)


def cached(root, place):
  source = f'files:{texts(root)}'
  return lambda: data.prepare(source=source, cache=str(place), **ARGUMENTS)


def built(root, place):
  """Records of TFDS, whose tokens are made again each time."""
  arguments = dict(source='tfds:books', manual_dir=str(texts(root)))

  def read():
    for path in place.glob('*'):
      if path.name != 'tfds':
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return data.prepare(**arguments, cache=str(place))

  return read


def meaning(made):
  """All that training and evaluation take from a corpus."""
  digest = hashlib.sha256()
  for split in data.SPLITS:
    digest.update(made.tokens(split).astype('<u4').tobytes())
    digest.update(made.offsets(split).tobytes())
  about = {k: v for k, v in made.manifest.items() if k != 'source'}
  digest.update(json.dumps(about, sort_keys=True).encode())
  digest.update(made.tokenizer.name.encode() + made.tokenizer.model)
  digest.update(made.tokenizer.byte_lengths.tobytes())
  return digest.hexdigest()


def damaged(raw, rng, many):
  """(what, bytes) of a file with a byte or bit otherwise, or cut."""
  ends = {0, 1, len(raw) // 2, len(raw) - 2, len(raw) - 1}
  chosen = ends | {rng.randrange(len(raw)) for _ in range(many)}
  filled = [at for at, byte in enumerate(raw) if byte]  # the rest pads
  chosen |= {rng.choice(filled) for _ in range(many)}
  for at in sorted(at for at in chosen if 0 <= at < len(raw)):
    for mask in (1 << rng.randrange(8), 255):
      flipped = bytes([raw[at] ^ mask])
      yield 'flip', raw[:at] + flipped + raw[at + 1 :]
    yield 'cut', raw[:at]
  yield 'longer', raw + bytes([rng.randrange(256)])
  yield 'zeros', bytes(len(raw))


def attack(make, tmp_path, many):
  """{(file, what, outcome): count}, and where the rule was broken."""
  place = tmp_path / 'place'
  read = make(tmp_path / 'text', place)
  sound = meaning(read())
  rng, table, broken = random.Random(SEED), collections.Counter(), []
  for path in sorted(p for p in place.rglob('*') if p.is_file()):
    if make is built and 'tfds' not in path.parts:
      continue  # made again each time
    raw = path.read_bytes()
    for what, bad in damaged(raw, rng, many) if raw else ():
      path.write_bytes(bad)
      outcome = verdict(read, sound, path)
      name = 'shards' if 'array_record' in path.name else path.name
      name = 'lock' if path.suffix == '.lock' else name
      table[name, what, outcome] += 1
      if outcome not in ('refused', 'harmless'):
        broken.append(f'{what} in {path.name}: {outcome}')
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(raw)
  return table, broken


def verdict(read, sound, path, meaning=meaning):
  try:
    return 'harmless' if meaning(read()) == sound else 'SILENTLY OTHER'
  except (ValueError, OSError) as error:
    message = str(error)
    named = path.name in message or path.parent.name in message
    if '\n' in message or not named or len(message) > 1500:
      return f'NOT NAMED: {message[:300]}'
    return 'refused'
  except Exception as error:
    return f'TRACEBACK: {type(error).__name__}: {str(error)[:200]}'


def show(table):
  """tried / failed of each file, for whoever reads the output."""
  rows = collections.defaultdict(collections.Counter)
  for (name, what, outcome), count in table.items():
    rows[name, what][outcome] += count
  for (name, what), outcomes in sorted(rows.items()):
    tried = sum(outcomes.values())
    fine = outcomes['refused'] + outcomes['harmless']
    print(
      f'{name:22} {what:7} tried {tried:5} refused {outcomes["refused"]:5} '
      f'harmless {outcomes["harmless"]:4} failed {tried - fine}'
    )


@pytest.mark.parametrize('make', [prepared, cached, built])
def test_flips_and_cuts(make, tmp_path, many=MANY):
  table, broken = attack(make, tmp_path, many)
  show(table)
  assert not broken, '\n'.join(broken[:9])
  assert sum(table.values()) > 100


@pytest.mark.slow
@pytest.mark.parametrize('make', [prepared, cached, built])
def test_ten_times_as_many(make, tmp_path):
  test_flips_and_cuts(make, tmp_path, 10 * MANY)


def packed(path, text):
  if path.suffix == '.zip':
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
      archive.writestr('a.txt', text)
  elif path.suffix == '.parquet':
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({'text': [text]})
    parquet.write_table(table, path, write_page_checksum=True)
  else:
    pack = {'.gz': gzip, '.xz': lzma}[path.suffix]
    path.write_bytes(pack.compress(text.encode()))


@pytest.mark.parametrize('suffix', ['gz', 'xz', 'zip', 'parquet'])
def test_packed_text(tmp_path, suffix):
  """The checks of the packing itself; plain text has none, but its digest."""
  text, path = prose(60), tmp_path / 'text' / f'a.{suffix}'
  path.parent.mkdir()
  packed(path, text)
  place = tmp_path / 'cache'

  def read():
    shutil.rmtree(place, ignore_errors=True)
    return data.prepare(source=f'files:{path}', cache=str(place))

  def words(made):
    return [made.tokens(s).tobytes() for s in data.SPLITS]

  sound = words(read())
  raw, table = path.read_bytes(), collections.Counter()
  for what, bad in damaged(raw, random.Random(SEED), MANY):
    path.write_bytes(bad)
    table[path.name, what, verdict(read, sound, path, words)] += 1
  show(table)
  assert {o for _, _, o in table} <= {'refused', 'harmless'}, table
