"""(d) stub"""

from configs import demo
from configs.study import common

ENCODINGS = (*common.CONTROLS, 'harmonic*ssmax', 'none*ssmax')


def get_config(corpus: str = ''):
  c = demo.get_config()
  common.text(c, corpus)
  c.train.checkpoint_every = 300
  c.sweep.update(
    rpe=','.join(ENCODINGS),
    seeds=common.SEEDS,
    grid='model.dtype=float32,bfloat16;optim.lr=2e-3,8e-3;'
    'optim.weight_decay=0,0.1',
  )
  return c
