"""Sources `hf:OWNER/NAME/CONFIG`: text of the Hugging Face Hub, as parquet.

The Hub keeps a parquet copy of every public dataset, in one layout
(CONFIG/SPLIT/NUMBER.parquet), so nothing is run to read one.
"""

import hashlib
import json
import os
import pathlib

from extrapolation.data import network
from extrapolation.data.reading import Input, split_of

COPY = 'refs/convert/parquet'
INSTEAD = (
  "files:PATH of its .parquet or text files fetched elsewhere, 'stdlib', or "
  'tfds:NAME with data.manual_dir'
)


def inputs(name: str, cache: pathlib.Path) -> tuple[Input, ...]:
  """The files of a dataset, fetched once.

  What was fetched whole is written down in the cache, so that later runs
  neither ask the network nor take half a download for all of it.
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
  if not (found := _known(record)):
    network.require(source, endpoint, INSTEAD)
    try:
      found = _fetch(hub, endpoint, f'{owner}/{repository}', config or None)
    except (OSError, hub.errors.HFValidationError) as error:
      raise ValueError(f'{source}: {_one_line(error)}') from None
    record.parent.mkdir(parents=True, exist_ok=True)
    new = record.with_name(f'.{record.name}.{os.getpid()}')
    new.write_text(json.dumps(found, indent=1) + '\n')
    new.replace(record)
  made = [
    Input('/'.join(f.split('/')[-3:]), pathlib.Path(f), split_of(_of(f)))
    for f in found
  ]
  return tuple(i for i in made if i.split)


def _known(record: pathlib.Path) -> list[str]:
  try:
    found = json.loads(record.read_text())
  except (OSError, ValueError):
    return []
  return found if all(os.path.exists(f) for f in found) else []


def _of(path: str) -> str:
  return path.split('/')[-2]  # the folder of a split


def _fetch(hub, endpoint: str, repository: str, config: str | None):
  about = dict(repo_type='dataset', revision=COPY)
  api = hub.HfApi(endpoint=endpoint)
  there = api.list_repo_files(repository, **about)
  there = [f for f in there if f.endswith('.parquet') and f.count('/') == 2]
  configs = sorted({f.split('/')[0] for f in there})
  if config is None and len(configs) == 1:
    config = configs[0]
  wanted = [f for f in there if f.split('/')[0] == config]
  if not wanted:
    raise OSError(
      f'no configuration {config!r} of {repository}; there are: '
      + (', '.join(configs) or 'none')
    )
  if any(_of(f).startswith('partial-') for f in wanted):
    raise OSError(
      f'the parquet copy of {repository} is only its first part; fetch its '
      'files and read them by files:PATH'
    )
  splits = {split_of(_of(f)) for f in wanted} - {''}
  if not splits:
    raise OSError(f'{config} of {repository} has no split train, valid or test')
  found = [
    hub.hf_hub_download(repository, f, endpoint=endpoint, **about)
    for f in sorted(wanted)
    if split_of(_of(f))
  ]
  return found


def _one_line(error: Exception) -> str:
  return ' '.join(str(error).split())
