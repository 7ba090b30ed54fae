import functools
from typing import TYPE_CHECKING

from extrapolation.data.probes import generator
from extrapolation.data.tasks import base, canvas, potts

if TYPE_CHECKING:
  from extrapolation.geometry import Size


def make(
  beta: float = 0.9,
  states: int = 4,
  masked: float = 0.05,
  height: int = 0,
  side: int = 128,
  sweeps: int = 100,
) -> base.Task:
  r"""Masked cells of a Potts model, which their four neighbours tell best.

  p(s | neighbours) = exp(beta n_s) / sum_u exp(beta n_u), with n_s of them in
  state s; the optimum is -ln of it, exactly: masked cells are no neighbours,
  and all of their colour are drawn last, given the others (`potts.sample`).
  Two states are the Ising model, of coupling beta / 2.

  beta: below ln(1 + sqrt(states)), 1.0986 of four states: there, states order,
  and near it more sweeps are needed until samples are those of the model.
  masked: share of all cells. height: 0 crops a canvas of side x side whose
  ends meet; else the canvas is a strip of this height and of side^2 / height,
  whose upper and lower border is that of every crop, so that a cell of a strip
  of 2 has three neighbours. sweeps: of Gibbs sampling, from independent cells.

  Examples of one canvas score disjoint crops of it.
  """
  base.check_count('ising', 'states', states, 2, potts.MOST_STATES)
  most = potts.critical(states)
  if not 0 <= beta < most:
    raise ValueError(
      f'beta = {beta}: task ising needs 0 <= beta < ln(1 + sqrt({states})) = '
      f'{most:.4f}, above which its {states} states order'
    )
  base.check_share('ising', masked)
  base.check_count('ising', 'side', side, 4, 4096)
  base.check_count('ising', 'height', height, 0, side)
  base.check_count('ising', 'sweeps', sweeps, 1, 1_000_000)
  if side % 2:
    raise ValueError(f'side = {side}: task ising needs an even one')
  strip = height > 0
  model = potts.Potts(
    beta=beta,
    states=states,
    height=height or side,
    width=side * side // height // 2 * 2 if strip else side,
    free=strip,
  )
  H, W = model.height, model.width
  whole = (strip, False)

  def check(size: 'Size', within: 'Size') -> None:
    canvas.check_crop(
      'ising', size, within, (H, W), 'that of the canvas', whole
    )
    if strip and within[0] != height:
      raise ValueError(
        f'task ising: height={height} is a strip, so that every size is '
        f'{height} high, not {within[0]}'
      )

  def draw(
    number: int, size: 'Size', *, within: 'Size', stream: str, seed: int
  ) -> base.Example:
    check(size, within)
    rows, columns = H // within[0], W // within[1]
    block, rank = divmod(number, rows * columns)
    drawn, (y, x) = _canvas(model, sweeps, seed, stream, block)
    row, column = divmod(rank, columns)
    at = (y + row * within[0]) % H, (x + column * within[1]) % W
    return drawn.crop(at, size, within, masked=masked, mask=states)

  return base.Task(
    kind='masked',
    symbols=states,
    V=states + 1,
    mask=states,
    geometries=('grid',),
    check=check,
    draw=draw,
    source='Potts 1952, Proc. Camb. Phil. Soc. 48, 106',
  )


@functools.lru_cache(maxsize=8)
def _canvas(
  model: potts.Potts, sweeps: int, seed: int, stream: str, block: int
) -> tuple[canvas.Canvas, tuple[int, int]]:
  """A canvas, and where its first crop begins."""
  rng = generator(seed, stream, block)
  sites = model.sample(rng, sweeps)
  drawn = canvas.Canvas(
    ids=sites,
    order=canvas.order(rng, sites.shape, odd=1),
    nats=model.nats(sites),
    whole=(model.free, False),
    round=True,
  )
  y, x = (int(rng.integers(n)) for n in sites.shape)
  return drawn, (0 if model.free else y, x)
