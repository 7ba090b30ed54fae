"""E4: a ViT that is trained on small pictures and reads larger ones.

  python -m extrapolation.sweep --workdir=runs/vit \
    --config=configs/geometry/vit.py:bias
  (and table)

Question: what does a bias of distance give a Vision Transformer beside the
learned table of places that is stretched to a new size?

Method: handwritten digits of 8 x 8, 2 x 2 pixels a patch, classified by the
mean of the states of three layers; read at 12, 16, 24 and 32 pixels a side, by
linear interpolation. `table`: an encoder without a bias, with a learned table
of 4 x 4 places resized to each size (bilinear), as ViTs do. 3 seeds. Patch and
learning rate were chosen by the validation split at 8 x 8 (of one pixel a patch
alibi learns 0.36, of 2 x 2 0.73) after the predictions below were written; runs
of one pixel a patch were stopped and deleted, their other sizes not looked at.

What is at distance t among 8 x 8 is at 4 t among 32 x 32: here the scale
changes as well as the number of keys, so that theory's far mass is not all.

Predicted, of accuracy at 32 x 32 in the median of seeds:
1. Without a bias (`none`), which sees no place, accuracy is the same at every
   size within 0.1, and low (below 0.6 at 8 x 8).
2. The table, of all, is best where it was trained, and keeps most (0.7 or more)
   at 32 x 32, as its coordinates grow with the picture.
3. alibi and type1, whose distances do not grow with the picture, fall below the
   table at 24 and beyond; type1 falls less.
4. rotary, axial, falls most.

Refuted by: alibi or type1 above the table at 32 x 32.
"""

from configs.geometry import common

SIZES = tuple(f'{n}x{n}' for n in (8, 12, 16, 24, 32))
ARMS = 'bias', 'table'


def get_config(arm: str = 'bias'):
  if arm not in ARMS:
    raise ValueError(f'{arm!r} is no arm; there are: {", ".join(ARMS)}')
  c = common.encoder('grid', SIZES)
  c.data.source = 'digits'
  c.model.update(N=3, D=64, H=4, F=128, patch=2, pool='mean')
  c.optim.lr = 1e-3
  c.train.update(B=64, steps=500, valid_tokens=256 * 64)
  c.eval.tokens = 299  # one per picture, of each once
  c.sweep.rpe = 'alibi,type1,none,rotary'
  if arm == 'table':
    c.model.table = '4x4'
    c.sweep.rpe = 'none'
  return c
