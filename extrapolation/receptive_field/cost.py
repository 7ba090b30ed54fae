"""Floating-point operations of a pass, by a formula.

A multiply-add counts as two. Normalisation, activations and softmax are left
out; attention counts the pairs that causality leaves. Sizes: N layers, D
width, F hidden, n tokens, V vocabulary, Q last queries.
"""

FORWARD = (
  '(N-1) (n 2(4D^2 + 2DF) + 4D n(n+1)/2) + 6 n D^2 + Q (2D^2 + 4DF) + 4 D Q n '
  '+ 2 D V'
)


def forward(c, V: int, n: int, Q: int = 1, keys: int = 0) -> int:
  """Of n tokens whose top layer answers for the last Q; `keys` lie before."""
  layer = n * 2 * (4 * c.D**2 + 2 * c.D * c.F)
  layer += 4 * c.D * (n * (n + 1) // 2 + n * keys)
  top = 6 * n * c.D**2 + Q * (2 * c.D**2 + 4 * c.D * c.F)
  top += 4 * c.D * Q * (n + keys)
  return (c.N - 1) * layer + top + 2 * c.D * V
