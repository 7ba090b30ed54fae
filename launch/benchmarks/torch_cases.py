"""The same cases in PyTorch, as its own documentation would write them."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as nn
from torch.nn.attention import flex_attention as flex

torch.manual_seed(0)
DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


def wait():
  if DEVICE == 'cuda':
    torch.cuda.synchronize()


def alibi_slopes(H: int) -> torch.Tensor:
  return torch.tensor([2 ** (-8 * (h + 1) / H) for h in range(H)]).to(DEVICE)


def _mask(T: int, H: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
  """[H, T, T]: the bias written out, -inf for the future."""
  i = torch.arange(T, device=DEVICE)
  distance = (i[:, None] - i[None, :]).to(dtype)
  bias = -alibi_slopes(H)[:, None, None].to(dtype) * distance
  return bias.masked_fill(distance < 0, -math.inf)


def attention(form: str, T: int, H: int, window: int | None = None) -> Callable:
  """A function of q, k, v [B, H, T, K]."""
  if form == 'eager':
    mask = _mask(T, H)
    return lambda q, k, v: (
      torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]) + mask, -1) @ v
    )
  if form == 'sdpa':
    mask = _mask(T, H)[None]
    return lambda q, k, v: nn.scaled_dot_product_attention(
      q, k, v, attn_mask=mask.to(q.dtype)
    )
  if form == 'nobias':
    return lambda q, k, v: nn.scaled_dot_product_attention(
      q, k, v, is_causal=True
    )
  slopes = alibi_slopes(H)

  def score(s, b, h, i, j):
    return s - slopes[h] * (i - j)

  def seen(b, h, i, j):
    near = i >= j if window is None else (i >= j) & (i - j < window)
    return near

  mask = flex.create_block_mask(seen, None, None, T, T, device=DEVICE)
  compiled = torch.compile(flex.flex_attention)
  return lambda q, k, v: compiled(q, k, v, score_mod=score, block_mask=mask)


class Model(torch.nn.Module):
  """The shape of `extrapolation.model`: pre-norm, tied embeddings, gelu."""

  def __init__(self, attend: Callable, N: int, D: int, H: int, F: int, V: int):
    super().__init__()
    self.attend, self.H, self.D = attend, H, D
    self.embed = torch.nn.Embedding(V, D)
    torch.nn.init.normal_(self.embed.weight, std=D**-0.5)
    layer = lambda: torch.nn.ModuleDict(  # noqa: E731
      dict(
        norm1=torch.nn.LayerNorm(D),
        norm2=torch.nn.LayerNorm(D),
        qkv=torch.nn.Linear(D, 3 * D),
        out=torch.nn.Linear(D, D),
        up=torch.nn.Linear(D, F),
        down=torch.nn.Linear(F, D),
      )
    )
    self.layers = torch.nn.ModuleList(layer() for _ in range(N))
    self.norm = torch.nn.LayerNorm(D)

  def forward(
    self, tokens: torch.Tensor, targets: torch.Tensor
  ) -> torch.Tensor:
    B, T = tokens.shape
    x = self.embed(tokens) * math.sqrt(self.D)
    for p in self.layers:
      qkv = p.qkv(p.norm1(x)).view(B, T, 3, self.H, -1).permute(2, 0, 3, 1, 4)
      o = self.attend(*qkv).transpose(1, 2).reshape(x.shape)
      x = x + p.out(o)
      x = x + p.down(nn.gelu(p.up(p.norm2(x)), approximate='tanh'))
    logits = self.norm(x) @ self.embed.weight.T
    return nn.cross_entropy(logits.flatten(0, 1), targets.flatten())


def _items(B: int, T: int, seen: float, **size: int) -> dict[str, float]:
  N, D, F, V = (size[name] for name in 'NDFV')
  forward = 2 * (N * (4 * D * D + 2 * D * F) + V * D) + 4 * N * D * seen
  return dict(items=B * T, flops=B * T * forward)


def train(
  form: str, B: int, T: int, *, compiled: bool = True, **size: int
) -> tuple[Callable, dict]:
  """One step: loss, gradient, clipping, AdamW."""
  m = Model(attention(form, T, size['H']), **size).to(DEVICE)
  step = torch.compile(m) if compiled else m
  tx = torch.optim.AdamW(m.parameters(), lr=5e-4, weight_decay=0.0)
  batch = torch.randint(0, size['V'], (B, T + 1), device=DEVICE)

  def run():
    tx.zero_grad(set_to_none=True)
    value = step(batch[:, :-1], batch[:, 1:])
    value.backward()
    torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
    tx.step()
    wait()
    return round(float(value.detach()), 6)

  about = _items(B, T, T, **size)
  return run, about | dict(flops=3 * about['flops'])


def evaluate(
  form: str, T: int, *, window: int | None = None, **size: int
) -> tuple[Callable, dict]:
  """NLL of one sequence, logits and all at once."""
  m = Model(attention(form, T, size['H'], window), **size).to(DEVICE)
  tokens = torch.randint(0, size['V'], (1, T + 1), device=DEVICE)

  @torch.no_grad()
  def run():
    value = float(m(tokens[:, :-1], tokens[:, 1:]))
    wait()
    return round(value, 8)

  seen = T / 2 if window is None else min(window, T / 2)
  return run, _items(1, T, seen, **size)


def attend(
  form: str,
  B: int,
  T: int,
  H: int,
  K: int,
  dtype: str = 'float32',
  window: int | None = None,
  backward: bool = True,
) -> tuple[Callable, dict]:
  """Attention alone, forward or forward and backward."""
  make = lambda: torch.randn(  # noqa: E731
    B,
    H,
    T,
    K,
    dtype=getattr(torch, dtype),
    device=DEVICE,
    requires_grad=backward,
  )
  q, k, v = make(), make(), make()
  f = attention(form, T, H, window)
  g = torch.randn_like(q)

  def run():
    o = f(q, k, v)
    if backward:
      torch.autograd.grad(o, (q, k, v), g)
    wait()

  seen = T / 2 if window is None else min(window, T / 2)
  flops = 4 * B * T * seen * H * K * (3.5 if backward else 1)
  return run, dict(items=B * T, flops=flops)


def gated(
  form: str,
  B: int,
  T: int,
  H: int,
  K: int,
  dtype: str = 'float32',
  backward: bool = True,
) -> tuple[Callable, dict]:
  """Attention alone under forget gates, `form` 'eager' or 'flex'."""
  make = lambda *size: torch.randn(  # noqa: E731
    *size, dtype=getattr(torch, dtype), device=DEVICE, requires_grad=backward
  )
  q, k, v = make(B, H, T, K), make(B, H, T, K), make(B, H, T, K)
  z = torch.randn(B, H, T, device=DEVICE, requires_grad=backward)
  g = torch.randn_like(q)
  seen = lambda b, h, i, j: i >= j  # noqa: E731
  mask = flex.create_block_mask(seen, None, None, T, T, device=DEVICE)
  future = torch.ones(T, T, dtype=torch.bool, device=DEVICE).triu(1)
  compiled = torch.compile(flex.flex_attention)

  def attend(c: torch.Tensor) -> torch.Tensor:
    if form == 'eager':
      bias = (c[..., :, None] - c[..., None, :]).masked_fill(future, -math.inf)
      return torch.softmax(q @ k.mT / math.sqrt(K) + bias, -1) @ v
    score = lambda s, b, h, i, j: s + c[b, h, i] - c[b, h, j]  # noqa: E731
    return compiled(q, k, v, score_mod=score, block_mask=mask)

  def run():
    o = attend(torch.cumsum(nn.logsigmoid(z), -1))
    if backward:
      torch.autograd.grad(o, (q, k, v, z), g)
    wait()

  flops = 2 * B * T * T * H * K * (3.5 if backward else 1)
  return run, dict(items=B * T, flops=flops)
