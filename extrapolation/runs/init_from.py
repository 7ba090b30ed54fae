"""Parameters of another run to begin with: `train.init_from=RUN[:STEP]`."""

from extrapolation import data
from extrapolation.parallel import multihost
from extrapolation.runs import run_folder
from extrapolation.runs.checkpoint_reader import CheckpointReader


def parse(spec: str) -> tuple[str, int | None]:
  """The folder of a run, and the step of a checkpoint; None is its newest."""
  folder, colon, step = spec.rpartition(':')
  if colon and step.isascii() and step.isdecimal():
    return folder, int(step)
  return spec, None


def resolve(spec: str) -> str:
  """The same with the step that is the newest now, so that it stays.

  Raises:
    FileNotFoundError: the run has no checkpoint.
    ValueError: or not of that step.
  """
  folder, step = parse(spec)
  steps = CheckpointReader(folder).steps()
  if not steps:
    raise FileNotFoundError(
      f'train.init_from = {spec}: no complete checkpoint in {folder!r}'
    )
  if step is not None and step not in steps:
    raise ValueError(
      f'train.init_from = {spec}: no checkpoint of step {step}; there are: '
      f'{", ".join(map(str, steps))}'
    )
  return f'{folder}:{steps[-1] if step is None else step}'


def params(spec: str, abstract: dict, tokenizer: data.Tokenizer) -> dict:
  """The parameters of a checkpoint, sharded as `abstract` says.

  Raises:
    ValueError: it is of another model (the first array that differs is named),
      or in the tokens of another tokenizer.
    OSError: there is none that is sound.
  """
  folder, step = parse(spec)
  there = multihost.every(lambda: run_folder.tokenizer(folder))
  if there is None or there.dumps() != tokenizer.dumps():
    known = there.name if there else 'no tokenizer.json'
    raise ValueError(
      f'train.init_from = {spec} was trained in other tokens ({known}, not '
      f'{tokenizer.name}): set data.tokenizer={folder}/tokenizer.json'
    )
  try:
    restored = CheckpointReader(folder).restore({'params': abstract}, step)
  except ValueError as e:
    raise ValueError(f'train.init_from = {spec}: {e}') from None
  if restored is None:
    raise FileNotFoundError(f'train.init_from = {spec}: no checkpoint there')
  return restored[1]['params']
