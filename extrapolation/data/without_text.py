"""What data sets have in common whose examples are drawn, not read."""

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt

from extrapolation.data import tokenizers
from extrapolation.data.dataset import Dataset


class WithoutText(Dataset):
  """A data set that has no tokens to read; `ASKED` says how it is scored."""

  ASKED = ''

  def tokens(self, split: str) -> UInt[np.ndarray, ' n']:
    raise self._no_text()

  def offsets(self, split: str) -> Int64[np.ndarray, ' d']:
    raise self._no_text()

  def bytes(self, split: str) -> int:
    return 0

  def _no_text(self) -> ValueError:
    return ValueError(f'{self.manifest["source"]} {self.ASKED}')


def manifest(
  source: str, tokenizer: tokenizers.Tokenizer, digests: Mapping[str, str]
) -> dict[str, Any]:
  """A manifest that says which generator draws a source.

  digests: sha256 of the first examples of each split.
  """
  return dict(
    source=source,
    part_sources=[source],
    inputs=[],
    parts=[dict(weight=1.0, documents=0, tokens=0)],
    splits={
      split: dict(bytes=0, documents=0, tokens=0, tokens_sha256=digest)
      for split, digest in digests.items()
    },
    tokenizer=dict(name=tokenizer.name),
    python=platform.python_version(),
  )
