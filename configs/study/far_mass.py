"""(a) stub

python -m extrapolation.sweep
"""

from configs.study import common


def get_config(corpus: str = ''):
  c = common.long_text(corpus)
  c.sweep.rpe = ','.join(common.ENCODINGS)
  return c
