"""(f) stub"""

from configs.study import common


def get_config(corpus: str = ''):
  c = common.long_text(corpus)
  c.model.update(D=256, F=1024)
  c.optim.lr = 1.5e-3
  c.train.update(T=256, B=16)
  c.eval.update(lengths=(256, 1024, 4608))
  c.sweep.rpe = ','.join(common.CONTROLS)
  return c
