import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, Num
from scipy import sparse
from scipy.sparse import csgraph

from extrapolation.geometry import base

MOST = 20_000  # vertices, whose distances are 1.6 GB in float32
APART = 'refuse', 'hidden'


def make(file: str = '', apart: str = 'refuse') -> base.Geometry:
  r"""Vertices of a given graph, at the lengths of their shortest paths.

  file: one edge a line, `u v` or `u v length`, vertices numbered from 0; or a
  .npy with the matrix of lengths, 0 where there is no edge. Edges have no
  direction. apart: what happens where no path leads: refuse | hidden, a key
  that is not seen | a number, the distance that is taken.

  A size is how many vertices there are: those nearest to a centre of the
  largest piece, of equally near ones those of lower numbers, in the order of
  their numbers. Distances are those of the whole graph at every size.
  """
  if not file:
    raise ValueError('geometry graph needs a file of edges: graph:PATH')
  return of(read(pathlib.Path(file).expanduser()), apart, file)


def of(
  edges: Float[np.ndarray, 'n n'] | sparse.csr_array,
  apart: str = 'refuse',
  what: str = 'the graph',
) -> base.Geometry:
  """The geometry of a graph given as the lengths of its edges.

  Args:
    edges: [n, n], 0 where there is no edge; u v and v u are one edge.
    apart: as in `make`.
    what: it is called so in errors.

  Raises:
    ValueError: no square of finite lengths >= 0, too many vertices, or
      vertices that no path joins.
  """
  lengths = sparse.csr_array(edges, dtype=np.float64)
  n = lengths.indptr.size - 1
  if lengths.shape != (n, n) or not n:
    raise ValueError(f'{what}: edges {lengths.shape} are no square of lengths')
  if n > MOST:
    raise ValueError(
      f'{what} has {n:,} vertices; shortest paths are kept for {MOST:,} at most'
    )
  if lengths.nnz and not (
    np.isfinite(lengths.data).all() and lengths.data.min() >= 0
  ):
    raise ValueError(f'{what}: an edge has a length that is no number >= 0')
  paths = csgraph.shortest_path(lengths, directed=False)
  far, hidden = np.isinf(paths), False
  if far.any():
    paths, hidden = _apart(paths, far, apart, what, lengths)
  whole = bool((paths == np.round(paths)).all())
  D = paths.astype(np.int32 if whole else np.float32)

  def distance(
    query: Num[Array, '*q c'], key: Num[Array, '*k c']
  ) -> Num[Array, '*t']:
    return _at(D, query[..., 0], key[..., 0])

  def sees(
    query: Num[Array, '*q c'], key: Num[Array, '*k c']
  ) -> Bool[Array, '*t']:
    return _at(~far, query[..., 0], key[..., 0])

  centre, order = _nearest(D, far)

  def places(size: base.Size) -> np.ndarray:
    if not 1 <= size[0] <= n:
      raise ValueError(
        f'{what} has {n:,} vertices, and a size of {size[0]:,} was asked for; '
        f'give 1 to {n:,}'
      )
    return np.sort(order[: size[0]])[:, None]

  def longest(size: base.Size) -> float:
    at = places(size)[:, 0]
    return float(max(D[i, at].max() for i in at))

  return base.Geometry(
    axes=('vertices',),
    places=places,
    distance=distance,
    longest=longest,
    sees=sees if hidden else None,
    whole=whole,
    log_count=None,
    query=lambda size: int(np.searchsorted(places(size)[:, 0], centre)),
    only=(n,),
    source='shortest paths, as in Graphormer, arXiv 2106.05234',
  )


def _nearest(
  D: Num[np.ndarray, 'n n'], far: Bool[np.ndarray, 'n n']
) -> tuple[int, Integer[np.ndarray, ' n']]:
  """A centre of the largest piece, and all vertices by their distance to it."""
  pieces = (~far).sum(1)
  most = np.flatnonzero(pieces == pieces.max())
  longest = [np.where(far[i], 0, D[i]).max() for i in most]
  centre = int(most[np.argmin(longest)])
  order = np.lexsort((np.arange(len(D)), D[centre], far[centre]))
  return centre, order


def _at(x: np.ndarray, i: Num[Array, '*q'], j: Num[Array, '*k']) -> Array:
  """x[i, j], where i and j may be traced."""
  traced = isinstance(i, jax.Array) or isinstance(j, jax.Array)
  return (jnp.asarray(x) if traced else x)[i, j]


def _apart(
  paths: np.ndarray,
  far: np.ndarray,
  apart: str,
  what: str,
  lengths: sparse.csr_array,
) -> tuple[np.ndarray, bool]:
  """Distances with what is taken where no path leads; whether it is hidden."""
  if apart == 'hidden':
    return np.where(far, 0, paths), True
  try:
    taken = float(apart)
  except ValueError:
    taken = -1.0
  if not 0 <= taken < np.inf:
    parts, _ = csgraph.connected_components(lengths, directed=False)
    u, v = np.argwhere(far)[0]
    raise ValueError(
      f'{what} is in {parts} pieces, and no path leads from vertex {u} to '
      f'{v}; give apart=hidden, so that they do not see each other, or '
      'apart=N, the distance to take'
    )
  return np.where(far, taken, paths), False


def read(path: pathlib.Path) -> sparse.csr_array:
  """The lengths of the edges in a file.

  Raises:
    ValueError: no such file, or what is no edge; names the line.
  """
  if not path.is_file():
    raise ValueError(
      f'geometry graph: there is no file {str(path)!r}; give one edge a line, '
      '`u v` or `u v length`'
    )
  if path.suffix == '.npy':
    return sparse.csr_array(np.load(path, allow_pickle=False))
  edges: dict[tuple[int, int], float] = {}
  for i, line in enumerate(path.read_text('utf-8').splitlines(), 1):
    cells = line.partition('#')[0].split()
    if not cells:
      continue
    try:
      u, v = map(int, cells[:2])
      length = float(cells[2]) if len(cells) > 2 else 1.0
      if min(u, v) < 0 or len(cells) > 3:
        raise ValueError
    except (ValueError, TypeError):
      raise ValueError(
        f'{path}, line {i}: {line[:40]!r} is no edge; write `u v` or '
        '`u v length`, vertices numbered from 0'
      ) from None
    edges[min(u, v), max(u, v)] = length
  if not edges:
    raise ValueError(f'{path} has no edges')
  u, v = np.array(list(edges)).T
  n = int(max(u.max(), v.max())) + 1
  if n > MOST:
    raise ValueError(
      f'{path} numbers a vertex {n - 1:,}; at most {MOST:,} are kept, numbered '
      'from 0 without gaps'
    )
  data = np.array(list(edges.values()))
  return sparse.csr_array((data, (u, v)), shape=(n, n))
