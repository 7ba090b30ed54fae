"""WikiText-103, of 28,475, 60 and 60 articles."""

from types import MappingProxyType

from extrapolation.data.sources.tfds_builders import _wikitext


class Wikitext103(_wikitext.Wikitext):
  """WikiText-103 by articles (Merity et al., arXiv 1609.07843)."""

  FROM = _wikitext.where('103', '9ddaacaf6af0710eda8c456decff7832')
  LINES = MappingProxyType(dict(train=1_801_350, valid=3_760, test=4_358))
  WORDS = MappingProxyType(dict(train=103_227_021, valid=217_646, test=245_569))
  SHA256 = MappingProxyType(
    dict(
      valid='9aee9f52d6e77de6c7751fc5e7c44287db3ec0eaf15477098acc6b93c1c4250b',
      test='56db52eb157b1ab5c89646eef70510c1eca6e12a3bfdb99f0d6b05b4eacb75b9',
    )
  )


Builder = Wikitext103
