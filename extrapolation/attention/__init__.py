"""Causal attention whose bias is one table of values by distance."""

from jaxtyping import Array, Float

from extrapolation.attention import reference


def attend(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B T H K'],
  v: Float[Array, 'B T H K'],
  bias: Float[Array, 'H n'],
  *,
  window: tuple[int, ...] | int | None = None,
  implementation: str = 'auto',
) -> Float[Array, 'B T H K']:
  """Attention over keys at distance t >= 0 with weight exp(q.k/sqrt(K) + bias).

  Args:
    q: queries; k: keys; v: values.
    bias: the encoding's table, `rpe.bias(arange(n), params)`, n >= T.
    window: attend to the nearest `window` keys only (one number, or one a
      head); None for all.
    implementation: 'auto' or 'reference'.
  """
  if implementation not in ('auto', 'reference'):
    raise ValueError(
      f'no implementation {implementation!r} of attention; '
      'there are: auto, reference'
    )
  if window is not None:
    raise ValueError('window needs the blockwise implementation')
  return reference.attend(q, k, v, bias)[0]
