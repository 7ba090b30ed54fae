"""Question e: what does one divergent head among convergent ones do?

  python -m extrapolation.sweep --workdir=runs/one_head \
    --config=configs/study/one_head.py:DIR/wikitext2

Method: of four heads none to four have no bias, whose weights have no finite
sum; the others fall like exp(-(t / 256)^2). One such head is enough for no
window to bound what attention sees (docs/theory.md, theorem 6). Perplexity, if
far mass decides, sees their mean. `harmonic` in the one head diverges as well,
with less far mass.

Predicted by the law before any run (ratio at 9,216, 90 % interval twice as
wide, as several encodings in one model were not fitted; far mass):

  none of four            1.000  0.975..1.026  0.004
  one, harmonic           1.010  0.972..1.052  0.141
  one, no bias            1.014  0.970..1.063  0.199
  two, no bias            1.029  0.966..1.100  0.394
  three                   1.043  0.962..1.139  0.589
  four                    1.058  0.957..1.180  0.784

So the ratio rises with every head, and one divergent head does about what
exp_sqrt does, which converges in all heads and has far mass 0.176 (`far_mass`).
Should training learn to use the near heads alone, it rises later: then one head
does less than a quarter of what four do.

Refuted by: one head that does more than half of what four do (divergence, not
its share, decides); or an order that is not that of far mass, with all seeds.

Cost: 6 encodings x 3 seeds = 18 runs of about 110 s of one core.
"""

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
