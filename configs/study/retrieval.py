"""Question b: does reach order retrieval?

  python -m extrapolation.sweep --workdir=runs/retrieval \
    --config=configs/study/retrieval.py

Method: thirteen encodings, trained to find a needle at 128 tokens, are asked
for it at 20 distances and at up to 2,304 tokens. A key at distance t holds half
of the attention of n keys with a gap of Delta_n(t) = ln(sum of n weights) -
b(t) nats, of which training taught Delta_128(127). What lacks then, in nats, in
the head where it is least (negative: there is more than needed), and the reach
at 2,304 that follows, half a nat to each side:

                          needle held at 1   at the far end   reach
                          n = 256    2,304   n = 512  2,304   n = 2,304
  sandwich                  -5.65    -5.65      1.40   3.27   158  77..435
  alibi, alibi_floor        -3.35    -3.35      2.29   9.43    60  28..92
  type1                     -3.03    -3.02      2.26   5.33    44  25..77
  type2                     -2.97    -2.97      1.96   5.88    43  30..86
  exp_sqrt                  -2.45    -2.45      1.67   3.91    41  24..71
  harmonic:exponent=1.05    -2.08    -1.72      1.71   3.68    21  11..38
  harmonic                  -1.98    -1.57      1.69   3.64    19  10..35
  none                       0.69     2.89      1.39   2.89     0   0..0

Predicted before any run. Needle held, window growing: none fails first, the
others keep it, alibi and sandwich by the widest margin; rho of the margin in
nats with the second column is <= -0.7. Window of 512, needle at its far end:
another order, none and sandwich before harmonic before alibi; rho of accuracy
with the third column is <= -0.6. The measured reach at 2,304 is in its interval
for six of the nine. Heat helps: none*ssmax and alibi+none*ssmax keep more at
2,304 than none.

Refuted by: the same encoding first in both slices; rho of measured and
predicted reach below 0.5; none*ssmax not above none with any seed.

Cost: 13 encodings x 3 seeds = 39 runs of about 80 s of one core.
"""

from configs.study import common


def get_config():
  c = common.short()
  c.data.source = 'probe:needle'
  c.eval.update(tokens=256, probe='own')
  c.sweep.rpe = ','.join(common.ENCODINGS)
  return c
