"""Attention over the cells of a grid in PyTorch, as in `jax_spaces`."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as nn
from torch.nn.attention import flex_attention as flex

from launch.benchmarks.torch_cases import DEVICE, alibi_slopes, wait


def attention(form: str, size: list[int], H: int) -> Callable:
  """A function of q, k, v [B, H, T, K] under -slope t, t the l1 norm."""
  height, width = size
  decay = alibi_slopes(H)
  if form == 'flex':

    def score(s, b, h, i, j):
      t = abs(i // width - j // width) + abs(i % width - j % width)
      return s - decay[h] * t

    compiled = torch.compile(flex.flex_attention)
    return lambda q, k, v: compiled(q, k, v, score_mod=score)
  y, x = (torch.arange(n, device=DEVICE) for n in (height, width))
  cells = torch.cartesian_prod(y, x).float()
  mask = -decay[:, None, None] * torch.cdist(cells, cells, p=1)
  if form == 'sdpa':
    return lambda q, k, v: nn.scaled_dot_product_attention(
      q, k, v, attn_mask=mask[None].to(q.dtype)
    )
  return lambda q, k, v: (
    torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]) + mask, -1) @ v
  )


def attend(
  form: str,
  size: list[int],
  B: int,
  H: int,
  K: int,
  dtype: str = 'float32',
  backward: bool = True,
) -> tuple[Callable, dict]:
  """Forward, or forward and backward; `form` is 'eager', 'sdpa' or 'flex'."""
  T = math.prod(size)
  q, k, v = (
    torch.randn(
      B, H, T, K, dtype=getattr(torch, dtype), device=DEVICE,
      requires_grad=backward,
    ) for _ in 'qkv'
  )  # fmt: skip
  f, g = attention(form, size, H), torch.randn_like(q)

  def run():
    o = f(q, k, v)
    if backward:
      torch.autograd.grad(o, (q, k, v), g)
    wait()

  flops = 4 * B * T * T * H * K * (3.5 if backward else 1)
  return run, dict(items=B * T, flops=flops)
