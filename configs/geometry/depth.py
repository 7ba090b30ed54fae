"""E6: does depth read what one layer dilutes?

  python -m extrapolation.sweep --workdir=runs/depth \
    --config=configs/geometry/depth.py

Question: in E1 four encodings are more than 0.01 nats from the optimum at the
512 cells they were trained at, on the square. Is that because they cannot see
four neighbours among so many, or because three layers are too few? And is what
depth reads there still read among 9,216?

Method: E1's square (`configs/geometry/grid.py`) with six layers in place of
three, 4,800 steps of 4 examples in place of 600 of 16.

Known: R_N, the share of what the nearest keys say that N linear layers of the
bias alone miss (docs/theory.md, theorem 20; `theory --rpe=.. --geometry=grid
--train=16x32 --layers=N`). R_3 orders the excess of E1 at 512 cells after the
fact: rho 0.98 of nine on the square, 0.97 on the strip; the excess is some
0.1 R_3 up to R_3 = 0.16.

                       E1, 512 cells    R_3     R_6
  log_over_square      0.028            0.200   0.073
  harmonic, 1.5        0.029            0.199   0.065
  exp_sqrt             0.064            0.370   0.154
  harmonic, 1          0.088            0.392   0.128

Looked at before: one run of exp_sqrt, seed 0, of 1,600 steps, which has 0.019
(with three layers 0.049, with three layers and 4,800 steps 0.036).

Predicted, the first two while the runs of seed 0 were under way:
1. log_over_square and harmonic:exponent=1.5 come within 0.01 nats at 512 cells.
2. exp_sqrt and harmonic come to 0.007 .. 0.02.
3. What several layers have undone is undone for the sum of weights at 512
  cells: the rise to 9,216 is not smaller than in E1 (0.055 of exp_sqrt, 0.064,
  0.096 and 0.110), in any of the four.

Refuted by: another order than that of R_6, or one of the first two above 0.015.
"""

from configs.geometry import grid

ENCODINGS = (
  'exp_sqrt:slope=1',
  'log_over_square:slope=1',
  'harmonic:exponent=1.5:slope=1',
  'harmonic:slope=1',
)


def get_config(shape: str = 'square'):
  c = grid.get_config(shape)
  c.model.N = 6
  c.train.update(B=4, steps=4800)
  c.sweep.rpe = ','.join(ENCODINGS)
  return c
