"""(e) stub"""

from configs.study import common

NEAR = 'power'  # exp(-(k t)^2), of which nothing lies beyond 4 / k tokens
ENCODINGS = (
  *('+'.join([NEAR] * (4 - n) + ['none'] * n) for n in (1, 0, 2)),
  f'{NEAR}+{NEAR}+{NEAR}+harmonic',
  *('+'.join([NEAR] * (4 - n) + ['none'] * n) for n in (3, 4)),
)


def get_config(corpus: str = ''):
  c = common.long_text(corpus)
  c.sweep.rpe = ','.join(ENCODINGS)
  return c
