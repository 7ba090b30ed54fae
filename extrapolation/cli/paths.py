"""Paths as people write them, with ~ for a home."""

import os

from extrapolation.cli.flags import checked


def expand(text: str) -> str:
  """A path with its `~` or `~USER` replaced; an address such as gs:// stays.

  Shells leave the ~ of `--flag=~/folder` as it is.

  >>> expand('runs/~a'), expand('gs://bucket/~a')
  ('runs/~a', 'gs://bucket/~a')

  Raises:
    ValueError: nobody of that name, or no home is known.
  """
  if not text.startswith('~'):
    return text
  who = text.partition('/')[0]
  path = os.path.expanduser(text)
  # An empty HOME would make ~/a the folder /a.
  known = who != '~' or os.path.isabs(os.environ.get('HOME', '/'))
  if not known or not os.path.isabs(path):
    raise ValueError(
      f'no home is known for {who} in {text!r}: set HOME, or write the path in '
      'full'
    )
  return path


def _one(text: str) -> str:
  if not text:
    raise ValueError('an empty path; leave the flag out, or give a path')
  return expand(text)


def _several(text: str) -> list[str]:
  return [expand(part.strip()) for part in text.split(',') if part.strip()]


path = checked(_one)  # the type of a flag
several = checked(_several)  # separated by commas
