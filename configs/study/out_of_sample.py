"""Question f: does the law hold out of sample?

  python -m extrapolation.sweep --workdir=runs/out_of_sample \
    --config=configs/study/out_of_sample.py:DIR/code

Method: every sweep of the study writes its prediction before its first run, and
its report scores it: rank correlation, share of the ratios inside of their
intervals, worst miss. Most have an unseen corpus or unseen encodings, at sizes
that were fitted. This one has a size that was not, 2.4 M parameters, which is
four times the largest, and a training length of 256, on code.

Predicted by the law before any run (ratio at 4,608, 90 % interval, which is
half a half-width wider for the size; far mass):

  alibi     1.006  0.981..1.033  0.087
  type1     1.010  0.981..1.042  0.143
  harmonic  1.032  0.981..1.090  0.444
  none      1.058  0.981..1.148  0.784

So all four are in order, and at least three in their intervals. Over the whole
study at least 80 % of the encodings that have a number are inside, all of their
seeds and lengths, which is what jackknife+ promises to encodings that are like
the fitted ones; the error of the median encoding is below 0.018 nats.

Refuted by: fewer than 60 % inside; or a slope ln(ratio) / far mass that differs
from 0.0715 nats by more than a factor of two here, with the order kept: the law
would then hold for one size alone.

Cost: 4 encodings x 3 seeds = 12 runs of about 220 s of one core.
"""

from configs.study import common


def get_config(corpus: str = ''):
  c = common.long_text(corpus)
  c.model.update(D=256, F=1024)
  c.optim.lr = 1.5e-3
  c.train.update(T=256, B=16)
  c.eval.update(lengths=(256, 1024, 4608))
  c.sweep.rpe = ','.join(common.CONTROLS)
  return c
