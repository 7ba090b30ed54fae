"""Question g: at equal far mass, does the rate of decay matter?

  python -m extrapolation.sweep --workdir=runs/rate \
    --config=configs/study/rate.py:DIR/wikitext2

The paper leaves open which property of a convergent series makes an encoding
extrapolate. Method: one exponent in each of four families of decay is solved
for (`matched.py`), once so that far mass is the same, 0.200, and once so that
the rate is, the local exponent -t b'(t) = 2.00 at t = 9,216. All eight
converge.

Predicted by the law, which knows far mass alone, before any run (ratio at
9,216, 90 % interval; far mass; rate):

  bertrand:exponent=2.2007   1.014  0.992..1.038  0.200  1.38
  harmonic:exponent=1.4721   1.014  0.992..1.038  0.200  1.46
  log_power:exponent=1.3922  1.014  0.992..1.038  0.200  2.67
  power:exponent=0.4713      1.014  0.992..1.038  0.200  8.73

  bertrand:exponent=5.5913   1.003  0.988..1.018  0.044  2.00
  harmonic:exponent=2.0183   1.007  0.990..1.024  0.092  2.00
  log_power:exponent=1.2766  1.018  0.993..1.046  0.256  2.00
  power:exponent=0.3097      1.032  0.998..1.070  0.443  2.00

So the four of equal far mass are within 0.01 of each other, without the order
of their rates, and the four of equal rate are in the order of far mass, the
last at least 0.02 above the first.

Refuted by: among the first four a difference of more than 0.02 in the order of
rates, with all seeds; or, among the last four, an order that is not that of far
mass (the two in the middle aside).

Cost: 8 encodings x 3 seeds = 24 runs of about 110 s of one core.
"""

from configs.study import common, matched


def get_config(corpus: str = ''):
  c = common.long_text(corpus)
  pairs = zip(matched.EQUAL_FAR_MASS, matched.EQUAL_RATE, strict=True)
  c.sweep.rpe = ','.join(text for pair in pairs for text in pair)
  return c
