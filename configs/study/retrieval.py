"""(b) stub"""

from configs.study import common


def get_config():
  c = common.short_probe()
  c.sweep.rpe = ','.join(common.ENCODINGS)
  return c
