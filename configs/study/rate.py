"""(g) stub"""

from configs.study import common, matched


def get_config(corpus: str = ''):
  c = common.long_text(corpus)
  pairs = zip(matched.EQUAL_FAR_MASS, matched.EQUAL_RATE, strict=True)
  c.sweep.rpe = ','.join(text for pair in pairs for text in pair)
  return c
