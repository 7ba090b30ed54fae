"""Question a: does far mass order perplexity on every corpus?

  python -m extrapolation.sweep --workdir=runs/far_mass \
    --config=configs/study/far_mass.py:DIR/wikitext2

Method: thirteen encodings, trained at 512 bytes and evaluated at up to 9,216,
on each of three corpora; Spearman's rho of the ratio ppl_9216 / ppl_512 with
far mass, on each corpus, with an interval over seeds, as the report prints it.

Predicted by the law before any run (ratio, 90 % interval; far mass):

  alibi, alibi_floor      1.002  0.988..1.017  0.031
  type2                   1.005  0.989..1.022  0.070
  type1                   1.006  0.989..1.023  0.080
  sandwich                1.007  0.990..1.025  0.099
  exp_sqrt                1.013  0.992..1.035  0.176
  harmonic:exponent=1.05  1.027  0.996..1.061  0.371
  harmonic                1.029  0.997..1.064  0.396
  none                    1.058  1.006..1.117  0.784

So rho >= 0.9 on each corpus, and convergence does not order: alibi_floor, which
diverges, is within 0.5 % of alibi, and harmonic:exponent=1.05, which converges,
within 1 % of harmonic. Without a number: linear@forget, which is tight, is
within 2 % of 1; alibi+none*ssmax and none*ssmax, which are not, are above 1;
rotary is above 1.5.

Refuted by: rho below 0.6 on a corpus; an encoding outside of its interval with
all seeds on two corpora; a ratio of alibi_floor nearer to harmonic than to
alibi.

Afterwards YaRN at evaluation, on the runs of rotary: with `evaluate
--rpe=rotary:scaling=yarn:factor=18` perplexity is lower at 9,216, higher at
512.

Cost: 13 encodings x 3 seeds x 3 corpora = 117 runs of about 110 s of one core.
"""

from configs.study import common


def get_config(corpus: str = ''):
  c = common.long_text(corpus)
  c.sweep.rpe = ','.join(common.ENCODINGS)
  return c
