"""The two sizes of WikiText, checked against what was published of them."""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from extrapolation.data.sources.inputs import Input
from extrapolation.data.sources.reading import WIKITEXT
from extrapolation.data.sources.tfds_builders import _text

log = logging.getLogger(__name__)

_CITATION = """@inproceedings{merity2017pointer,
  title={Pointer Sentinel Mixture Models},
  author={Merity, Stephen and Xiong, Caiming and Bradbury, James and
    Socher, Richard},
  booktitle={ICLR}, year={2017}, note={arXiv:1609.07843}
}"""


class Wikitext(_text.Text, skip_registration=True):
  """Articles of WikiText: a document starts at a line ` = Title = `.

  LINES and WORDS (one <eos> per line included) of each split are those of the
  paper's table 1 and of the distributed files; raw text, without <unk>, has
  the same lines, and no count of words was published. SHA256 is of the text.
  """

  SEPARATOR = WIKITEXT
  CITATION = _CITATION
  LINES: Mapping[str, int] = MappingProxyType({})
  WORDS: Mapping[str, int] = MappingProxyType({})
  SHA256: Mapping[str, str] = MappingProxyType({})

  def documents(self, texts: list[tuple[str, Input]]) -> Iterator[bytes]:
    split, digest = texts[0][1].split, hashlib.sha256()
    lines = words = unknown = 0
    for document in super().documents(texts):
      digest.update(document)
      lines += document.count(b'\n')
      words += len(document.split())
      unknown += document.count(b'<unk>')
      yield document
    counts = [('lines', lines, self.LINES)]
    if unknown:
      counts.append(('words with <eos>', words + lines, self.WORDS))
    for what, count, published in counts:
      if count != published[split]:
        raise ValueError(
          f'{texts[0][1].path} has {count:,} {what}, but {split} of '
          f'{self.name} has {published[split]:,}: it is cut short, or not '
          f'that text. {self.FROM}'
        )
    known = self.SHA256.get(split, digest.hexdigest())
    if unknown and digest.hexdigest() != known:
      log.warning(
        '%s has the counts of %s %s, but another sha256: %s, not %s',
        *(texts[0][1].path, self.name, split, digest.hexdigest(), known),
      )


def where(size: str, md5: str) -> str:
  """Where a size of WikiText comes from, for error messages."""
  return (
    f'WikiText comes from the Hugging Face Hub as Salesforce/wikitext: its '
    f'.parquet files of wikitext-{size}-v1 (or -raw-v1), or '
    f'hf:Salesforce/wikitext/wikitext-{size}-v1; the former '
    f'wikitext-{size}-v1.zip has md5 {md5}'
  )
