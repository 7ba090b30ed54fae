"""(c) stub"""

from configs.study import common

ENCODINGS = (
  'none',
  'alibi',
  'alibi+none*ssmax',
  'none*ssmax',
  'harmonic',
  'rotary',
  'linear@forget',
  'type1',
)


def get_config(corpus: str = ''):
  c = common.short_probe()
  common.text(c, corpus, share='0.5*probe:needle')
  c.train.steps = 600
  c.eval.update(tokens=36_864, probe='needle')
  c.sweep.rpe = ','.join(ENCODINGS)
  return c
