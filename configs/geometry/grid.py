"""E1: the same encodings and as many keys, on a strip and on a square.

  python -m extrapolation.sweep --workdir=runs/square \
    --config=configs/geometry/grid.py:square
  python -m extrapolation.sweep --workdir=runs/strip \
    --config=configs/geometry/grid.py:strip

Question: is it the space that decides? n keys lie at distance n in the plane,
two on a strip, so that one encoding has two verdicts.

Method: masked cells of a Potts model (4 states, beta = 0.8, below order). A
cell depends on its neighbours alone, all of which are seen, so the best loss is
known exactly, and what rises above it with the size is dilution and nothing
else. A bidirectional encoder of three layers is trained at 512 cells, 16 x 32
or 2 x 256, and scored on the same cells within up to 9,216. One slope, k = 1,
in all heads; 3 seeds; 9 encodings x 3 seeds x 2 = 54 runs.

Looked at before this was written: one run of alibi on the square, seed 0, up to
48 x 48, in which steps were chosen.

Known before any run (`theory --geometry=grid --train --test`): verdict, and
share of the weights beyond the training shape in the largest one, query in the
middle, where content says nothing:

                       strip                    square
  alibi                converges  3e-56         converges  3e-4
  type2                converges  2e-9          converges  0.033
  exp_sqrt             converges  1.6e-4        converges  0.439
  type1                converges  0.0061        diverges   0.347
  log_over_square      converges  0.028         diverges   0.553
  harmonic, 2.5        converges  8e-4          converges  0.201
  harmonic, 1.5        converges  0.077         diverges   0.635
  harmonic, 1          diverges   0.387         diverges   0.797
  none                 diverges   0.944         diverges   0.944

Predicted, of the excess over the optimum at 9,216 less that at 512 cells:
1. alibi and type2 stay within 0.01 nats on both shapes.
2. type1, log_over_square and harmonic:exponent=2.5 stay within 0.01 nats on
   strips, and rise by more than that on squares.
3. exp_sqrt separates verdict and far mass: it rises on the square as type1
   does, or more, though its sum is finite there.
4. In both shapes the rise is in the order of far mass (Spearman's rho >= 0.8
   over all encodings that are within 0.05 nats of the optimum at 512 cells);
   one that cannot find its neighbours among 512 has nothing to lose.

Refuted by: a rise on the square of exp_sqrt below a third of that of type1 (the
verdict decides, not far mass); or type1 rising on strips as on squares.
"""

from configs.geometry import common

ENCODINGS = (
  'alibi:slope=1',
  'type2:slope=1',
  'exp_sqrt:slope=1',
  'type1:slope=1',
  'log_over_square:slope=1',
  'harmonic:exponent=2.5:slope=1',
  'harmonic:exponent=1.5:slope=1',
  'harmonic:slope=1',
  'none',
)
SIZES = dict(
  square=('16x32', '32x32', '48x48', '64x64', '96x96'),
  strip=('2x256', '2x512', '2x1152', '2x2048', '2x4608'),
)


def get_config(shape: str = 'square'):
  if shape not in SIZES:
    raise ValueError(f'{shape!r} is no shape; there are: {", ".join(SIZES)}')
  c = common.encoder('grid', SIZES[shape])
  height = ':height=2' if shape == 'strip' else ''
  c.data.source = f'ising:beta=0.8:masked=0.15{height}'
  c.model.update(N=3, D=64, H=4, F=128)
  c.train.update(B=16, steps=600, valid_tokens=32_768)
  c.eval.tokens = 1500
  c.sweep.rpe = ','.join(ENCODINGS)
  return c
