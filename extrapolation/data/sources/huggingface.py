"""Sources `hf:OWNER/NAME/CONFIG`: text of the Hugging Face Hub, as parquet.

The Hub keeps a parquet copy of every public dataset, in one layout
(CONFIG/SPLIT/NUMBER.parquet), so nothing is run to read one.
"""

import hashlib
import json
import os
import pathlib

from extrapolation.data import folder_cache, network
from extrapolation.data.sources.inputs import Input
from extrapolation.data.sources.split_names import split_of
from extrapolation.output import files, plain_file

COPY = 'refs/convert/parquet'
INSTEAD = (
  "files:PATH of its .parquet or text files fetched elsewhere, 'stdlib', or "
  'tfds:NAME with data.manual_dir'
)


def inputs(name: str, cache: pathlib.Path) -> tuple[Input, ...]:
  """The files of a dataset, fetched once.

  What was fetched whole is written down in the cache, so that later runs
  neither ask the network nor take half a download for all of it.

  Raises:
    ValueError: not of that form, or the Hub has no such text.
    ConnectionError: not in the cache, and no network.
  """
  source = f'hf:{name}'
  owner, _, rest = name.partition('/')
  repository, _, config = rest.partition('/')
  if not owner or not repository or '/' in config:
    raise ValueError(
      f'{source}: write hf:OWNER/NAME/CONFIG, such as '
      'hf:Salesforce/wikitext/wikitext-103-raw-v1'
    )
  try:
    import huggingface_hub as hub
  except ImportError:
    raise ValueError(
      f"{source} needs the extra `hf`: pip install 'extrapolation[hf]'; "
      f'without it: {INSTEAD}'
    ) from None
  endpoint = os.environ.get('HF_ENDPOINT', 'https://huggingface.co')
  key = hashlib.sha256(f'{endpoint} {name}'.encode()).hexdigest()[:24]
  record = cache / 'hf' / f'{key}.json'
  if not (paths := _fetched(record)):
    network.require(source, endpoint, INSTEAD)
    try:
      paths = _fetch(endpoint, f'{owner}/{repository}', config)
    except (OSError, hub.errors.HFValidationError) as error:
      raise ValueError(f'{source}: {" ".join(str(error).split())}') from None
    folder_cache.make(record.parent)
    files.write_text(record, json.dumps(paths, indent=1) + '\n')
  entries = [
    Input(
      '/'.join(p.split('/')[-3:]),
      pathlib.Path(p),
      split_of(_folder(p)),
      kind='parquet',
    )
    for p in paths
  ]
  return tuple(entry for entry in entries if entry.split)


def _fetched(record: pathlib.Path) -> list[str]:
  """The files that were fetched, if all are still there."""
  try:
    plain_file.check(record)
    paths = json.loads(record.read_text())
    there = [p for p in paths if p.endswith('.parquet') and os.path.isfile(p)]
  except (OSError, *plain_file.PARSE_ERRORS):
    return []
  return paths if there == paths else []


def _fetch(endpoint: str, repository: str, config: str) -> list[str]:
  """Paths of the files of a configuration; '' is the only one there is."""
  import huggingface_hub as hub

  copy = dict(repo_type='dataset', revision=COPY)
  names = hub.HfApi(endpoint=endpoint).list_repo_files(repository, **copy)
  names = [n for n in names if n.endswith('.parquet') and n.count('/') == 2]
  configs = sorted({n.split('/')[0] for n in names})
  if not config and len(configs) == 1:
    config = configs[0]
  wanted = [n for n in names if n.split('/')[0] == config]
  if not wanted:
    raise OSError(
      f'no configuration {config!r} of {repository}; there are: '
      + (', '.join(configs) or 'none')
    )
  if any(_folder(n).startswith('partial-') for n in wanted):
    raise OSError(
      f'the parquet copy of {repository} is only its first part; fetch its '
      'files and read them by files:PATH'
    )
  wanted = sorted(n for n in wanted if split_of(_folder(n)))
  if not wanted:
    raise OSError(f'{config} of {repository} has no split train, valid or test')
  return [
    hub.hf_hub_download(repository, n, endpoint=endpoint, **copy)
    for n in wanted
  ]


def _folder(path: str) -> str:
  """The folder that a file lies in, which is called as its split is."""
  return path.split('/')[-2]
