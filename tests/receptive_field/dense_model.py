"""A model of composed encodings in NumPy and float64, written out anew.

It shares no code with what it judges. Its functions take complex
numbers, of which the imaginary part is a derivative times a small step.
"""

import math

import numpy as np

N, H, D = 2, 2, 16
SLOPES = (2.0**-4, 2.0**-8)


def index(layer, x, ids):
  return np.arange(len(ids))[:, None]


def gates(layer, x, ids):
  z = x @ layer['clock']['W'] + layer['clock']['b']
  return np.cumsum(np.log(1 + np.exp(-z)), 0)


def gates_of_part(layer, x, ids):
  """Of the first head; the second counts tokens."""
  z = x @ layer['clock']['W_0'] + layer['clock']['b_0']
  first = np.cumsum(np.log(1 + np.exp(-z)), 0)
  return np.concatenate([first, index(layer, x, ids)], 1)


def breaks(layer, x, ids):
  return np.cumsum(np.isin([-1, *ids[:-1]], [3, 7]))[:, None]


def warm(i):
  return np.log(np.maximum(i + 1, 2)) / math.log(16)


def one(i):
  return np.ones(len(i))


def softmax(z):
  e = np.exp(z - z.real.max(-1, keepdims=True))
  return e / e.sum(-1, keepdims=True)


def positive(x):
  """|x|, of numbers whose imaginary part is a derivative."""
  return np.where(x.real < 0, -x, x)


def relu(x, leak=0):
  return np.where(x.real > 0, x, leak * x)


# Scores give the weights [h, n, n] of their heads: of z = q.k / sqrt(K) and q
# with their heat, the bias, p [h, n], where keys are seen, parameters and the
# heat of whole logits [h, n, 1].


def plain(z, q, b, p, seen, params, heat):
  return softmax(np.where(seen, z + b, -np.inf))


def fire(z, q, b, p, seen, params, heat):
  c, i = params['c'], p[:, :, None]
  t = i - p[:, None]
  least = abs(params['m']) * 16 / 2
  i = np.where(i.real > least, i, least)
  u = np.log(positive(c * t) + 1) / (np.log(positive(c * i) + 1) + 1e-6)
  W1, b1 = params['W1'][:, 0], params['b1']
  y = relu(u[..., None] * W1 + b1) @ params['W2'].T + params['b2']
  f = np.stack([y[h % len(y), ..., h] for h in range(len(z))])
  return softmax(np.where(seen, heat * (z + f), -np.inf))


def dape(z, q, b, p, seen, params, heat):
  both = np.moveaxis(np.concatenate([z, np.where(seen, b, 0)]), 0, -1)
  y = relu(both @ params['W1'].T + params['b1'], 0.01)
  y = np.moveaxis(y @ params['W2'].T + params['b2'], -1, 0)
  return softmax(np.where(seen, heat * (z + b + y), -np.inf))


def cope(z, q, b, p, seen, params, heat):
  gates = np.where(seen, 1 / (1 + np.exp(-z)), 0)
  counts = np.cumsum(gates[..., ::-1], -1)[..., ::-1]
  most = len(params['e']) - 1
  counts = np.where(counts.real > most, most, counts)
  at = q @ params['e'].T  # [h, n, P]
  low = np.floor(counts.real).astype(int)
  of_low = np.take_along_axis(at, low, -1)
  of_high = np.take_along_axis(at, np.minimum(low + 1, most), -1)
  added = of_low + (counts - low) * (of_high - of_low)
  return softmax(np.where(seen, heat * (z + added), -np.inf))


def sticks(z, q, b, p, seen, params, heat):
  weights = np.zeros_like(z)
  for i in range(z.shape[1]):
    left = np.ones(len(z), z.dtype)
    for j in reversed(range(i)):
      share = 1 / (1 + np.exp(-z[:, i, j]))
      weights[:, i, j] = left * share
      left = left * (1 - share)
  return weights


# Of each layer of a period: positions, then for each head the bias, the heat of
# q.k, and that of the bias; whether pairs of q and k turn with positions; and
# the scores of equal shares of the heads, if logits are no sum.
PLAIN = (lambda t: 0 * t, one, one)
REFEREES = {
  'type1@forget': [
    (gates, [(lambda t, k=k: -np.log(1 + (k * t) ** 2), one, one)
             for k in SLOPES], False),
  ],
  'harmonic*log_n:train_length=16:whole=true': [
    (index, [(lambda t, k=k: -np.log(1 + k * t), warm, warm)
             for k in SLOPES], False),
  ],
  'alibi+none*log_n:train_length=16': [
    (index, [(lambda t: -t / 256, one, one), (PLAIN[0], warm, one)], False),
  ],
  'none/window:width=4': [
    (index, [PLAIN] * H, False),
    (index, [(lambda t: np.where(t < 4, 0, -np.inf), one, one)] * H,
     False),
  ],
  'rotary@segment:ids=3-7': [(breaks, [PLAIN] * H, True)],
  'type1@forget/rotary@segment:ids=3-7*log_n:train_length=16:whole=true': [
    (gates, [(lambda t, k=k: -np.log(1 + (k * t) ** 2), one, one)
             for k in SLOPES], False),
    (breaks, [(PLAIN[0], warm, warm)] * H, True),
  ],
  'dape@forget/cope:positions=4*log_n:train_length=16+stick_breaking': [
    (gates, [(lambda t, k=k: -k * t, one, one) for k in SLOPES], False, dape),
    (index, [(PLAIN[0], warm, one), PLAIN], False, cope, sticks),
  ],
  'fire:train_length=16/dape*log_n:train_length=16:whole=true': [
    (index, [PLAIN] * H, False, fire),
    (index, [(lambda t, k=k: -k * t, warm, warm) for k in SLOPES], False, dape),
  ],
  'cope:positions=4/fire:train_length=16@forget*log_n:train_length=16': [
    (index, [PLAIN] * H, False, cope),
    (gates, [(PLAIN[0], warm, one)] * H, False, fire),
  ],
  'stick_breaking@forget+fire:train_length=16'
  '*log_n:train_length=16:whole=true': [
    (gates_of_part, [PLAIN, (PLAIN[0], warm, warm)], False, sticks, fire),
  ],
}  # fmt: skip


PERIODS = {spec: len(layers) for spec, layers in REFEREES.items()}


def normed(p, x):
  x = x - x.mean(-1, keepdims=True)
  x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)
  return x * p['scale'] + p['bias']


def dense(p, x):
  return x @ p['kernel'] + p['bias']


def turned(x, positions):
  """x [n, K] by position, of pairs m and m + K/2."""
  K = x.shape[-1]
  angle = positions[:, None] * 10000.0 ** (-np.arange(0, K, 2) / K)
  a, b = x[:, : K // 2], x[:, K // 2 :]
  cos, sin = np.cos(angle), np.sin(angle)
  return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def last_state(spec, p, rows, ids):
  """Hidden state of the last token of embeddings [n, D], and all attention."""
  x, every, i = rows * math.sqrt(D), [], np.arange(len(ids))
  for number in range(N):
    layer = p['layers'][number]
    clock, heads, rotates, *scores = REFEREES[spec][number % PERIODS[spec]]
    y = normed(layer['attention_norm'], x)
    qkv = dense(layer['qkv'], y).reshape(len(ids), 3, H, -1)
    positions = clock(layer, y, ids)
    positions = np.broadcast_to(positions, (len(ids), H)).T
    given = []
    for h, (bias, heat, of_bias) in enumerate(heads):
      at, (q, k, v) = positions[h], np.moveaxis(qkv[:, :, h], 1, 0)
      if rotates:
        q, k = turned(q, at), turned(k, at)
      whole = of_bias(i)[:, None]
      # With a score, the heat of a whole logit is not in q.
      q = q if scores and heat is of_bias else q * heat(i)[:, None]
      t = at[:, None] - at
      b = bias(np.where(t.real > 0, t, 0)) * (1 if scores else whole)
      given.append((q @ k.T / math.sqrt(D // H), q, b, at, whole, v))
    z, q, b, at, whole, v = map(np.stack, zip(*given, strict=True))
    seen, maps = i[:, None] >= i, []
    size = H // max(len(scores), 1)
    for part, score in enumerate(scores or [plain]):
      own = layer.get('score', {})
      if len(scores) > 1:
        end = f'_{part}'
        own = {n[:-2]: w for n, w in own.items() if n.endswith(end)}
      of = slice(part * size, (part + 1) * size)
      args = (y[of] for y in (z, q, b, at))
      maps.append(score(*args, seen, own, whole[of]))
    maps = np.concatenate(maps)
    out = np.moveaxis(maps @ v, 0, 1).reshape(len(ids), -1)
    x = x + dense(layer['out'], out)
    y = dense(layer['up'], normed(layer['feedforward_norm'], x))
    x = x + dense(layer['down'], np.where(y.real > 0, y, 0))
    every.append(maps)
  return normed(p['norm'], x)[-1], np.stack(every)
