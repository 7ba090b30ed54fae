"""A graph of your own: trained on a part around its centre, read as a whole.

  python -m extrapolation.train --config=configs/geometry/graph.py:FILE \
    --workdir=runs/mine --config.model.rpe=alibi:slope=1
  python -m extrapolation.evaluate --workdir=runs/mine
  python -m extrapolation.theory --all --geometry=graph:FILE

FILE has an edge a line, `u v` or `u v length`, vertices numbered from 0. Masked
vertices of a Potts model depend on their neighbours alone, all seen: the best
loss is known exactly, and what rises above it with the size is dilution. The
part that is trained on has a sixteenth of the vertices, and a quarter is read
between. No prediction: the graph is yours, and theory's far mass is one.
"""

from configs.geometry import common
from extrapolation import geometry


def get_config(file: str = ''):
  if not file:
    raise ValueError('give the file of a graph: configs/geometry/graph.py:FILE')
  whole = geometry.get('graph', file=file).only
  assert whole is not None  # a given graph is one shape
  sizes = tuple(str(max(whole[0] // k, 2)) for k in (16, 4, 1))
  c = common.encoder(f'graph:{file}', sizes)
  c.data.source = f'graph:file={file}:beta=0.8:masked=0.15'
  c.model.update(rpe='alibi', N=3, D=64, H=4, F=128)
  c.train.update(B=16, steps=600, valid_tokens=16_384)
  c.eval.tokens = 1500
  return c
