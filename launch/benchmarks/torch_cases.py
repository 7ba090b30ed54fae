"""The same cases in PyTorch, as its own documentation would write them."""

import math

import torch
import torch.nn.functional as nn
from torch.nn.attention import flex_attention as flex

torch.manual_seed(0)
DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


def _wait():
  if DEVICE == 'cuda':
    torch.cuda.synchronize()


def _slopes(H):
  return torch.tensor([2 ** (-8 * (h + 1) / H) for h in range(H)]).to(DEVICE)


def _mask(T, H, dtype=torch.float32):
  """[H, T, T]: the bias written out, -inf for the future."""
  i = torch.arange(T, device=DEVICE)
  distance = (i[:, None] - i[None, :]).to(dtype)
  bias = -_slopes(H)[:, None, None].to(dtype) * distance
  return bias.masked_fill(distance < 0, -math.inf)


def attention(form, T, H, window=None):
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
  slopes = _slopes(H)

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

  def __init__(self, attend, N, D, H, F, V):
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

  def forward(self, tokens, targets):
    B, T = tokens.shape
    x = self.embed(tokens) * math.sqrt(self.D)
    for p in self.layers:
      qkv = p.qkv(p.norm1(x)).view(B, T, 3, self.H, -1).permute(2, 0, 3, 1, 4)
      o = self.attend(*qkv).transpose(1, 2).reshape(x.shape)
      x = x + p.out(o)
      x = x + p.down(nn.gelu(p.up(p.norm2(x)), approximate='tanh'))
    logits = self.norm(x) @ self.embed.weight.T
    return nn.cross_entropy(logits.flatten(0, 1), targets.flatten())


def _items(B, T, N, D, F, V, seen):
  forward = 2 * (N * (4 * D * D + 2 * D * F) + V * D) + 4 * N * D * seen
  return dict(items=B * T, flops=B * T * forward)


def train(form, B, T, N, D, H, F, V, compiled=True):
  """One step: loss, gradient, clipping, AdamW."""
  m = Model(attention(form, T, H), N, D, H, F, V).to(DEVICE)
  step = torch.compile(m) if compiled else m
  tx = torch.optim.AdamW(m.parameters(), lr=5e-4, weight_decay=0.0)
  batch = torch.randint(0, V, (B, T + 1), device=DEVICE)

  def run():
    tx.zero_grad(set_to_none=True)
    value = step(batch[:, :-1], batch[:, 1:])
    value.backward()
    torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
    tx.step()
    _wait()
    return round(float(value.detach()), 6)

  about = _items(B, T, N, D, F, V, T)
  return run, about | dict(flops=3 * about['flops'])


def evaluate(form, T, N, D, H, F, V, window=None):
  """NLL of one sequence, logits and all at once."""
  m = Model(attention(form, T, H, window), N, D, H, F, V).to(DEVICE)
  tokens = torch.randint(0, V, (1, T + 1), device=DEVICE)

  @torch.no_grad()
  def run():
    value = float(m(tokens[:, :-1], tokens[:, 1:]))
    _wait()
    return round(value, 8)

  seen = T / 2 if window is None else min(window, T / 2)
  return run, _items(1, T, N, D, F, V, seen)


def attend(form, B, T, H, K, dtype='float32', window=None, backward=True):
  """Attention alone, forward or forward and backward."""
  dtype = getattr(torch, dtype)
  make = lambda: torch.randn(  # noqa: E731
    B, H, T, K, dtype=dtype, device=DEVICE, requires_grad=backward
  )
  q, k, v = make(), make(), make()
  f = attention(form, T, H, window)
  g = torch.randn_like(q)

  def run():
    o = f(q, k, v)
    if backward:
      torch.autograd.grad(o, (q, k, v), g)
    _wait()

  seen = T / 2 if window is None else min(window, T / 2)
  flops = 4 * B * T * seen * H * K * (3.5 if backward else 1)
  return run, dict(items=B * T, flops=flops)
