"""What the experiments on other spaces than a line share.

Each is a lab note, written before any of its runs: question, method, what is
known of it by theory, prediction, what would refute it. One command runs all,
and goes on where it stopped:

  python launch/geometry.py --workdir=runs/geometry --hours=4
"""

from ml_collections import ConfigDict

from extrapolation import config

SEEDS = (0, 1, 2)


def places(sizes: tuple[str, ...]) -> ConfigDict:
  """Training at the first size, the same targets scored at all."""
  c = config.base()
  c.model.dropout = 0.0
  c.optim.update(lr=3e-3, warmup=50, schedule='cosine', weight_decay=0.01)
  c.train.update(size=sizes[0], log_every=50, valid_every=100)
  c.train.checkpoint_every = 1000
  c.eval.sizes = sizes
  c.sweep.seeds = SEEDS
  return c


def encoder(geometry: str, sizes: tuple[str, ...]) -> ConfigDict:
  """`places` of a bidirectional encoder."""
  c = places(sizes)
  c.model.update(kind='encoder', geometry=geometry)
  return c
