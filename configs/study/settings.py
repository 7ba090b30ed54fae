"""Question d: how far do scale, precision, rate and decay move the answer?

  python -m extrapolation.sweep --workdir=runs/settings \
    --config=configs/study/settings.py:DIR/wikitext2

Method: four encodings from near to far, at the sizes of configs/demo.py, and
two of them with a learned attention scale s ln n (`*ssmax`); each in float32
and in bfloat16, with two learning rates and with two weight decays. Of each of
the eight settings: the order of the four by ppl_1024 / ppl_64, and how far the
ratio of one encoding moves from setting to setting, beside its spread over
seeds.

Predicted before any run: the order alibi, type1, harmonic, none is that of far
mass in all eight settings (differences below the spread of seeds aside). A
setting moves a ratio by less than 0.02, perplexity itself by up to 10 %; far
mass moves it by 0.06, from alibi to none (results/demo). bfloat16 moves a ratio
by less than 0.005: biases are float32 whatever the precision. The scale does
not stop the drift: harmonic*ssmax and none*ssmax are above 1.03 in all
settings, as none*ssmax was in results/heat.

Refuted by: two neighbours in the order that change places in a setting, with
all seeds; a ratio that a setting moves by more than far mass does.

Cost: 6 encodings x 8 settings x 3 seeds = 144 runs of about 14 s of one core.
"""

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
