"""WikiText-2, of 600, 60 and 60 articles."""

from types import MappingProxyType

from extrapolation.data.sources.tfds_builders import _wikitext


class Wikitext2(_wikitext.Wikitext):
  """WikiText-2 by articles (Merity et al., arXiv 1609.07843)."""

  FROM = _wikitext.where('2', '542ccefacc6c27f945fb54453812b3cd')
  LINES = MappingProxyType(dict(train=36_718, valid=3_760, test=4_358))
  WORDS = MappingProxyType(dict(train=2_088_628, valid=217_646, test=245_569))
  SHA256 = MappingProxyType(
    dict(
      valid='f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8',
      test='d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0',
    )
  )


Builder = Wikitext2
