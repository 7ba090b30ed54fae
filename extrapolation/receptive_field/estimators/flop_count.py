"""Floating-point operations of a pass, by a formula.

A multiply-add counts as two. Normalisation, activations and softmax are left
out; attention counts the pairs that causality leaves. Sizes: N layers, D
width, F hidden, n tokens, V vocabulary, Q last queries.
"""

from extrapolation import config

FORWARD = (
  '(N-1) (n 2(4D^2 + 2DF) + 4D n(n+1)/2) + 6 n D^2 + Q (2D^2 + 4DF) + 4 D Q n '
  '+ 2 D V'
)


def forward(
  sizes: config.Network, V: int, n: int, Q: int = 1, keys: int = 0
) -> int:
  """Of n tokens whose top layer answers for the last Q; `keys` lie before."""
  D, F = sizes.D, sizes.F
  layer = n * 2 * (4 * D**2 + 2 * D * F)
  layer += 4 * D * (n * (n + 1) // 2 + n * keys)
  top = 6 * n * D**2 + Q * (2 * D**2 + 4 * D * F)
  top += 4 * D * Q * (n + keys)
  return (sizes.N - 1) * layer + top + 2 * D * V
