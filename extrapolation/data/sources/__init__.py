"""Where text comes from: files, TFDS, the Hugging Face Hub."""

from extrapolation.data.sources.corpora import (
  FORMS,
  Options,
  Part,
  held_out,
  lines,
  parts,
  weighted,
)
from extrapolation.data.sources.inputs import BLOCK, SPLITS, Input
from extrapolation.data.sources.reading import documents
from extrapolation.data.sources.unpacking import Budget

__all__ = [
  'BLOCK',
  'FORMS',
  'SPLITS',
  'Budget',
  'Input',
  'Options',
  'Part',
  'documents',
  'held_out',
  'lines',
  'parts',
  'weighted',
]
