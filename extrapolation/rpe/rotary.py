from jaxtyping import Array, Num

from extrapolation.rpe import base
from extrapolation.rpe._frequencies import Setting
from extrapolation.rpe._rotation import rotation


def make(
  H: int,
  base_period: float = 10000.0,
  *,
  scaling: str = 'none',
  factor: float = 0.0,
  train_length: int = 512,
  p: float = 1.0,
  long_factor: str = '',
) -> base.RPE:
  r"""RoPE: each pair m of q and of k turns by the angle n w_m at position n.

  w_m = base_period^(-2 m / K), so q.k depends on differences alone. `scaling`
  changes w for contexts `factor` times as long as train_length, and p < 1
  turns only that part of the pairs, the fastest (p-RoPE, arXiv 2410.06205).
  """
  c = Setting(base_period, scaling, factor, train_length, p, long_factor)

  def rotate(q: base.QK, k: base.QK, positions: Num[Array, '...']):
    w = c.frequencies(q.shape[-1], positions)
    turned = (rotation(x, positions, w) for x in (q, k))
    if c.temperature != 1:
      turned = (c.temperature * x for x in turned)
    return tuple(y.astype(x.dtype) for x, y in zip((q, k), turned, strict=True))

  return base.RPE(
    bias=base.no_bias(H),
    rotate=rotate,
    source='Su et al. 2021, RoFormer, arXiv 2104.09864',
  )
