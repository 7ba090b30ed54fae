"""E2: slopes around the thresholds of a tree, at its root and at its leaves.

  python -m extrapolation.sweep --workdir=runs/root-2 \
    --config=configs/geometry/tree.py:root-2
  (and leaf-2, root-1, leaf-1, root-3, leaf-3)

Question: is the threshold of a geometric bias where growth says it is? From the
root of a tree of r children r^n keys lie at distance n, from a leaf
r^floor(n / 2), so the weights exp(-k n) have a finite sum where k > ln r, and
where k > ln(r) / 2: two thresholds on one graph.

Method: labels that are broadcast from the root and changed with probability
0.2 on each edge; masked vertices depend on parent and children alone, all seen,
so the best loss is known exactly. Encoders of two layers, trained at depth 5
and scored at up to depth 10 (r = 3: 8), the same vertices; slopes k of ALiBi in
all heads; 3 seeds. `root` scores vertices whose children are in the smallest
tree, `leaf` the leaves.

Known before any run: the sum of the weights Z at depths 5, 8, 11, 14 of r = 2:

  leaf  k = .25    16, 35, 70, 131     grows for ever   (threshold .3466)
        k = .3466  9.5, 14.7, 19.8, 24.9
        k = .5     5.0, 5.6, 5.9, 6.0  settles
  root  k = .5     10, 22, 43, 80      grows for ever   (threshold .6931)
        k = .693   6, 9, 12, 15
        k = 1      3.2, 3.5, 3.7, 3.7  settles

Predicted, of the excess at the greatest depth less that at depth 5:
1. r = 2: it rises by less than 0.01 nats where k is 1.4 thresholds or more, by
   more than that where k is 0.75 thresholds or less, at leaves and at the root.
2. At equal k between the thresholds (.5) the loss at leaves stays and that at
   the root rises.
3. r = 1, a path: no k of these rises by 0.01 nats.
4. r = 3: as 1, with thresholds 1.0986 and .5493.

Refuted by: a rise that is in the order of k but blind to where it is measured.
"""

from configs.geometry import common

SLOPES = 0.25, 0.35, 0.5, 0.69, 1.0, 1.5
DEPTHS = {1: (8, 16, 32, 64), 2: (5, 6, 8, 10), 3: (5, 6, 7, 8)}


def get_config(arm: str = 'root-2'):
  at, _, r = arm.partition('-')
  if at not in ('root', 'leaf') or r not in map(str, DEPTHS):
    raise ValueError(f'{arm!r}: write root-R or leaf-R, R = 1, 2 or 3')
  c = common.encoder(f'tree:{r}:{at}', tuple(map(str, DEPTHS[int(r)])))
  c.data.source = f'tree:r={r}:at={at}:flip=0.2:masked=0.2'
  c.model.update(N=2, D=32, H=4, F=64)
  c.train.update(B=32, steps=300, valid_tokens=16_384)
  c.eval.tokens = 1500
  c.sweep.rpe = ','.join(f'alibi:slope={k:g}' for k in SLOPES)
  return c
