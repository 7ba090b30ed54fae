"""E5: does a heat that counts keys hold a square that is diluted without it?

  python -m extrapolation.sweep --workdir=runs/heat-square \
    --config=configs/geometry/heat.py:square

Question: E1's squares lose what their encodings leave to far keys. A heat of
ln n, n the keys that a query sees, on the bias as well, makes attention tight
in every space (docs/theory.md, theorem 19); one of q.k alone does not, and the
masked cells that ask, all alike, have no content to find their neighbours by.

Method: that of E1's square (grid.py), with `*log_n:whole=true`, which is 1 at
512 cells and 1.463 at 9,216, and with `*log_n`; 3 seeds. What is compared are
E1's runs without a heat, trained alike.

Known before any run (theory, square, b times 1.463 against b): share of the
weights beyond 16x32 in 96x96, and E1's rise with seed 0, nats:

                     no heat         whole heat
  type1              0.347  0.014    0.060
  exp_sqrt           0.439  0.058    0.190
  harmonic, 1.5      0.635  0.116    0.323

E1's own rises by far mass: 0.033 -> 0.001, 0.201 -> 0.008, 0.347 -> 0.014.

Predicted, of the excess over the optimum at 9,216 less that at 512 cells:
1. With the whole heat it rises by less than half of what it does without, for
   each of the three.
2. type1 stays within 0.005 nats; exp_sqrt and harmonic:exponent=1.5 within
   0.03.
3. With the heat of q.k alone exp_sqrt rises by at least half of what it does
   without.

Refuted by: a whole heat that saves less than half, or one of q.k alone that
saves more than half.
"""

from configs.geometry import grid

HEATS = (
  'type1:slope=1*log_n:whole=true',
  'exp_sqrt:slope=1*log_n:whole=true',
  'harmonic:exponent=1.5:slope=1*log_n:whole=true',
  'exp_sqrt:slope=1*log_n',
)


def get_config(shape: str = 'square'):
  c = grid.get_config(shape)
  c.sweep.rpe = ','.join(HEATS)
  return c
