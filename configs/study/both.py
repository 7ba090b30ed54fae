"""Question c: is any encoding good at both, and did the prediction say so?

  python -m extrapolation.sweep --workdir=runs/both \
    --config=configs/study/both.py:DIR/wikitext2

Method: the encodings of `retrieval` at its sizes, trained on text in place of a
needle. Good at both is an encoding with a ratio ppl_2304 / ppl_128 of at most
1.01 here, and there an accuracy of at least half with the needle at the far end
of 512 tokens, each with the median seed.

One model for both would be stricter. A trial of that, half of whose sequences
were text and half needles, did not learn the needle: after 600 steps (alibi,
seed 0) accuracy at 128 tokens was 0.055, where a guess is right in 0.0625. One
target in 128 is an answer there. It is no run of the study.

Predicted by the law before any run (ratio at 2,304, 90 % interval; far mass;
what lacks in nats at the far end of 512, from `retrieval`):

  sandwich                1.008  0.990..1.026  0.108  1.40
  alibi, alibi_floor      1.012  0.991..1.034  0.164  2.29
  type2                   1.016  0.993..1.041  0.224  1.96
  type1                   1.016  0.993..1.042  0.225  2.26
  exp_sqrt                1.025  0.995..1.057  0.340  1.67
  harmonic:exponent=1.05  1.035  0.999..1.075  0.476  1.71
  harmonic                1.036  0.999..1.077  0.495  1.69
  none                    1.058  1.006..1.117  0.784  1.39

So no encoding whose weights never rise is good at both: to hold half of the
attention at distance t costs at least ln t nats, and more for those with little
far mass. sandwich, whose weights rise and fall, is the only one of the nine
with a chance. alibi+none*ssmax, which shares its heads between near and far,
and linear@forget, whose gates can stay open for a needle, may be good at both.
rotary is good at neither.

Refuted by: alibi, type1, harmonic or none good at both.

Cost: 13 encodings x 3 seeds = 39 runs of about 55 s of one core.
"""

from configs.study import common


def get_config(corpus: str = ''):
  c = common.short()
  common.text(c, corpus)
  c.eval.tokens = 36_864
  c.sweep.rpe = ','.join(common.ENCODINGS)
  return c
