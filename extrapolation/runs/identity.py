"""Which run it is: what a checkpoint says of that, and what is compared."""

from collections.abc import Mapping

from extrapolation import config, data, rpe
from extrapolation.output import signed

# The sections of a config that decide what is trained.
TRAINED_BY = ('seed', 'data', 'model', 'optim', 'train')
# Keys of `data` that say where text lies; what it is, its digests say.
PLACES = ('source', 'valid', 'test', 'manual_dir')


# Keys that change what is written and when, and no parameter; of data, where.
HARMLESS = {
  'train': ('log_every', 'checkpoint_every', 'keep', 'keep_every',
            'valid_every', 'valid_tokens'),
  'data': ('cache',),
  'model': ('rpe_file',),
}  # fmt: skip


def trained_by(e: config.Experiment) -> dict:
  """The keys of a config that decide what is trained."""
  sections = e.to_dict()
  chosen = {key: sections[key] for key in TRAINED_BY}
  for section, keys in HARMLESS.items():
    for key in keys:
      del chosen[section][key]
  # A file of the user's own may move; whether it is the same, a fingerprint
  # says (`run_folder.same_encoding`).
  chosen['model']['rpe'] = rpe.name_of(e.model.rpe)
  return chosen


def run_id(e: config.Experiment) -> str:
  """The same for every run that is trained alike, and for no other.

  What a run leaves carries it, so that a file of another run is known. It is of
  what differs from the defaults: a key that a later version adds changes none,
  and no hyperparameter that an encoding was given later (`rpe.added_later`).
  Where its text lies is no part of it.
  """
  default, ours = trained_by(config.Experiment()), trained_by(e)
  for section in default['model'], ours['model']:
    section['rpe_args'] = _first_known(section)
  for key in PLACES:
    del default['data'][key], ours['data'][key]
  return signed.digest(config.differences(default, ours))


def _first_known(section: Mapping) -> dict:
  """Hyperparameters, without those added later that are the default."""
  later = rpe.added_later(section['rpe'])
  return {
    k: v
    for k, v in section['rpe_args'].items()
    if k not in later or v != later[k]
  }


def of(
  e: config.Experiment, manifest: Mapping, tokenizer: data.Tokenizer
) -> dict:
  """What a checkpoint says of the run it is of; `same_run` compares it."""
  return dict(
    config=e.to_dict(),
    text=_digests(manifest),
    parts=manifest['parts'],
    tokenizer=signed.digest(tokenizer.dumps()),
  )


def _digests(manifest: Mapping) -> dict[str, str]:
  splits = manifest['splits'].items()
  return {split: about['tokens_sha256'] for split, about in splits}


def same_run(
  workdir: str,
  meta: Mapping,
  e: config.Experiment,
  manifest: Mapping | None,
  tokenizer: data.Tokenizer,
) -> None:
  """Raises ValueError unless a checkpoint is of the run that it lies in.

  Args:
    meta: of the checkpoint, with what `of` gave; one of before it did says
      less, and less is compared.
    e: of the run.
    manifest: of its text; None in a folder without.
    tokenizer: that its parameters are about to be read with.
  """
  where = f'the checkpoint of step {meta["step"]} in {workdir!r}'
  there, ours = trained_by(config.from_dict(meta['config'])), trained_by(e)
  if 'text' in meta:  # which may have moved
    for key in PLACES:
      del there['data'][key], ours['data'][key]
  different = config.differences(there, ours)
  if different:
    raise ValueError(
      f'{where} was not made with the config.json that lies beside it; restore '
      'the one or the other. Keys that differ (checkpoint -> config.json): '
      + '; '.join(different)
    )
  if 'text' in meta and manifest is not None:
    for what, then, now in (
      ('text', meta['text'], _digests(manifest)),
      ('parts', meta['parts'], manifest.get('parts')),
    ):
      if then != now:
        raise ValueError(
          f'{where} was not made with the {what} of the data.json that lies '
          'beside it; restore the one or the other'
        )
  digest = signed.digest(tokenizer.dumps())
  if meta.get('tokenizer', digest) != digest:
    raise ValueError(
      f'{where} was not made with the tokenizer that lies beside it; restore '
      'tokenizer.json'
    )
