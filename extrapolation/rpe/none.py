from extrapolation.rpe import base


def make(H: int) -> base.RPE:
  r"""NoPE: no encoding; the causal mask alone tells order. bias(t) = 0."""
  return base.RPE(
    bias=base.no_bias(H), source='Kazemnejad et al. 2023, arXiv 2305.19466'
  )
