"""The theorems of docs/theory.md: their bounds and their cases of equality.

Every bound meets 10,000 attentions, a third of them adversarial, in float64.
"""

import pathlib
import re

import jax
import numpy as np
import pytest
from scipy import special

from extrapolation.attention.window_bound import dropped, dropped_seen
from extrapolation.receptive_field import loss_bound
from extrapolation.theory import far_share, subjects
from extrapolation.theory.enclosures.prefix_sums import PrefixSums
from extrapolation.theory.signs import signs
from extrapolation.theory.witness import first

COUNT, N, K = 10_000, 64, 3
T = np.arange(N)


@pytest.fixture(autouse=True)
def _float64():
  with jax.enable_x64(True):
    yield


def biases(rng, count=COUNT):
  """exp, stretched, powers, constant, rising: convergent or not."""
  k = rng.uniform(0.02, 2, (count, 1))
  kinds = [-k * T, -k * T**0.5, -2 * k * np.log1p(T), 0 * k * T, 0.05 * k * T]
  return np.stack(kinds)[rng.integers(0, len(kinds), count), np.arange(count)]


class Heads:
  """Attentions of one query each: logits z, values v, a window w."""

  def __init__(self, seed=0):
    rng = np.random.default_rng(seed)
    self.b, self.w = biases(rng), rng.integers(1, N, (COUNT, 1))
    self.far = self.w <= T
    M = rng.uniform(0, 4, (COUNT, 1))
    z = M * rng.uniform(-1, 1, (COUNT, N))
    u = rng.normal(size=(COUNT, 1, K))
    u /= np.linalg.norm(u, axis=-1, keepdims=True)
    v = rng.normal(size=(COUNT, N, K))
    v *= (
      rng.uniform(0, 1, (COUNT, N, 1)) / np.linalg.norm(v, axis=-1)[..., None]
    )
    hard = rng.random((COUNT, 1)) < 1 / 3
    z = np.where(hard, M * np.where(self.far, 1, -1), z)
    v = np.where(hard[..., None], u * np.where(self.far, -1, 1)[..., None], v)
    self.hard, self.u = hard[:, 0], u[:, 0]
    # What all keys, or all values, share changes neither bound.
    self.z = z + rng.normal(size=(COUNT, 1)) * 5
    self.centre = rng.normal(size=(COUNT, 1, K)) * 5
    self.v, self.radius = v + self.centre, 1.0
    self.osc = 2 * M[:, 0]

  def mean(self, a, v=None):
    v = self.v if v is None else v
    return np.einsum('cn,cnk->ck', a, v) / a.sum(-1)[:, None]

  @property
  def weights(self):
    return np.exp(self.z + self.b)

  def sums(self):
    """ln T_w and ln B_w."""
    w = np.exp(self.b)
    return tuple(np.log((w * part).sum(-1)) for part in (self.far, ~self.far))

  def share(self):
    a = self.weights
    return (a * self.far).sum(-1) / a.sum(-1)


def test_1_exact_worst_case():
  """||o - o_w|| <= 2 r p*, osc for 2 M and any ball around the values."""
  h = Heads()
  a = h.weights
  error = np.linalg.norm(h.mean(a) - h.mean(a * ~h.far), axis=-1)
  bound = 2 * h.radius * np.asarray(dropped(*h.sums(), h.osc))
  assert np.all(error <= bound * (1 + 1e-9) + 1e-12)
  equal = h.hard & (bound > 1e-6)
  assert equal.sum() > 2000
  np.testing.assert_allclose(error[equal], bound[equal], rtol=1e-9, atol=1e-14)
  assert (error / bound)[~h.hard & (bound > 1e-6)].max() < 1


def test_2_shrunken_truncation_is_half_of_it_and_nothing_is_better():
  h = Heads(1)
  h.v = h.v - h.centre  # the ball is around 0, towards which it shrinks
  tail, near = h.sums()
  a = h.weights
  lse = np.log((a * ~h.far).sum(-1))
  m = np.max(h.z, -1, initial=-np.inf, where=h.far)
  p = np.asarray(dropped_seen(tail, lse, m))
  ours = (1 - p)[:, None] * h.mean(a * ~h.far)
  error = np.linalg.norm(h.mean(a) - ours, axis=-1)
  worst = np.asarray(dropped(tail, near, h.osc))
  assert np.all(error <= p * (1 + 1e-9) + 1e-12)
  assert np.all(p <= worst * (1 + 1e-9))
  # Far values -u and +u look the same from within the window: a function of
  # it is at least half of their distance, 2 p*, from one of the two.
  other = np.where(h.far[..., None], -h.v, h.v)
  apart = np.linalg.norm(h.mean(a) - h.mean(a, other), axis=-1) / 2
  again = np.linalg.norm(h.mean(a, other) - ours, axis=-1)
  assert np.all(again <= p * (1 + 1e-9) + 1e-12)
  equal = h.hard & (p > 1e-6)
  for found in (error, again, apart):
    np.testing.assert_allclose(found[equal], worst[equal], rtol=1e-9)


def test_corollary_zero_one_law():
  """sup_n p*(w, n) falls to 0 with w, or is 1 for every w."""
  for text, sums_up in (('-2*log(1+t)', True), ('-log(1+t)', False)):
    (root,) = subjects.heads(text)
    prefix = PrefixSums(root)
    near = float(prefix(64).mid())
    # beyond: the sum of 1/t^2 from 65 on is pi^2/6 - B_64; that of 1/t has
    # no bound, so some n has any multiple of B_64 beyond its window.
    if sums_up:
      assert dropped(np.log(np.pi**2 / 6 - near), np.log(near), 2) < 0.07
      assert first(prefix, lambda b: 2 * b(64), 64).high is None
    else:
      n = first(prefix, lambda b: 8 * b(64), 64).high
      far = float(prefix(n).mid()) - near
      assert dropped(np.log(far), np.log(near), 2) > 0.98


@pytest.mark.parametrize('M', [0.0, 1.0])
def test_3_one_text_against_every_window(M):
  """Blocks 10^k, weights 1 / (1 + t): numbers computed for the proof, and
  errors that rise with the length of the text."""
  (root,) = subjects.heads('-log(1+t)')
  ends = [10**k for k in range(1, 8)]
  e = np.concatenate(
    [np.full(b - a, s) for a, b, s in signs(root, blocks=ends)]
  )
  want = {1: 1.85, 2: 1.78, 4: 1.70, 8: 1.61}
  rng = np.random.default_rng(0)
  for w, value in want.items():
    errors = []
    for n in (10**4, 10**5, 10**6):
      i = n + w - 1
      z = M * rng.uniform(-1, 1, i + 1)
      a = np.exp(z) / (1 + np.arange(i + 1))
      v = e[: i + 1][::-1]  # by distance
      o, near = (a @ v) / a.sum(), (a[:w] @ v[:w]) / a[:w].sum()
      assert abs(near) == pytest.approx(1)
      errors.append(abs(o - near))
    if M == 0:
      assert errors == sorted(errors)
      assert errors[-1] == pytest.approx(value, abs=0.006)
    assert errors[-1] > 1.5


def test_3_blocks_of_the_proof():
  """For equal weights B_n = n: N_k is the first N with N - N' - k >=
  k e^{2k} (k + N')."""
  (root,) = subjects.heads('0*t')
  before = 0
  for k, (start, stop, sign) in zip(range(1, 6), signs(root), strict=False):
    need = k * np.exp(2 * k) * (k + before)
    assert start == before and sign == (-1) ** k
    assert stop - start - k >= need > stop - 1 - start - k
    before = stop


def test_4_far_mass_is_the_quantity():
  h = Heads(2)
  w = np.exp(h.b)
  F = (w * h.far).sum(-1) / w.sum(-1)
  p, a = h.share(), h.weights
  low, high = far_share.interval(F, h.osc)
  inside = (0 < p) & (p < 1)
  assert np.all(low[inside] <= p[inside] * (1 + 1e-9))
  assert np.all(p[inside] <= high[inside] * (1 + 1e-9))
  np.testing.assert_allclose(p[h.hard], high[h.hard], rtol=1e-9)
  h.z = -h.z  # near keys at the maximum: the other end
  np.testing.assert_allclose(h.share()[h.hard], low[h.hard], rtol=1e-9)
  h.z = -h.z
  all_, near = (x / x.sum(-1, keepdims=True) for x in (a, a * ~h.far))
  tv = np.abs(all_ - near).sum(-1) / 2
  np.testing.assert_allclose(tv, p, atol=1e-12)
  kl = special.rel_entr(near, all_).sum(-1)
  np.testing.assert_allclose(kl, -np.log1p(-p), rtol=1e-7, atol=1e-9)


def test_4_without_content_the_change_is_the_far_mass():
  """Values independent of logits: E||o - o_w||^2 >= p^2 sum P_w^2, p = F."""
  rng = np.random.default_rng(0)
  n, L, draws = 512, 64, 400
  w = 1 / (1.0 + np.arange(n) / 2)
  p = w[L:].sum() / w.sum()
  near, far = w[:L] / w[:L].sum(), w[L:] / w[L:].sum()
  v = rng.normal(size=(draws, n, 16)) / 4
  change = np.einsum('n,dnk->dk', w / w.sum(), v) - np.einsum(
    'n,dnk->dk', near, v[:, :L]
  )
  seen = (change**2).sum(-1).mean()
  exact = p**2 * ((near**2).sum() + (far**2).sum())
  assert seen == pytest.approx(exact, rel=0.05) and p == pytest.approx(
    0.38, abs=0.1
  )


def test_5_what_holds_of_the_loss_and_what_does_not():
  """(b) a far sign: log-loss below any delta, ln 2 for every window; (c) equal
  values: every encoding, convergent or not, is flat."""
  n, w, k = 10**6, 512, 40.0
  a = 1 / (1 + np.arange(n))
  p = a[w:].sum() / a.sum()  # o = p e u; the sign e lies beyond the window
  assert np.log1p(np.exp(-2 * k * p)) < 1e-9
  both = [np.log1p(np.exp(-2 * e * 0.0)) for e in (-1, 1)]  # o_w = 0
  assert np.mean(both) == pytest.approx(np.log(2))
  h = Heads(3)
  h.v = np.broadcast_to(h.centre, h.v.shape)
  gap = h.mean(h.weights) - h.mean(h.weights * ~h.far)
  assert np.abs(gap).max() < 1e-12


def test_6_softmax_is_lipschitz_at_any_length():
  rng = np.random.default_rng(4)
  n = rng.integers(2, N, (COUNT, 1))
  z = rng.normal(size=(COUNT, N)) * 3
  d = rng.uniform(0, 6, (COUNT, 1)) * rng.uniform(-0.5, 0.5, (COUNT, N))
  hard = rng.random((COUNT, 1)) < 1 / 3  # a difference of two values
  d = np.where(hard, rng.uniform(0, 6, (COUNT, 1)) * (d > 0), d)
  live = n > T
  z, far = np.where(live, z, -np.inf), np.where(live, d, np.nan)
  P, Q = special.softmax(z, -1), special.softmax(z + d, -1)
  tv = np.abs(P - Q).sum(-1) / 2
  osc = np.nanmax(far, -1) - np.nanmin(far, -1)
  bound = loss_bound.total_variation(osc)
  assert np.all(tv <= bound * (1 + 1e-9) + 1e-12)
  z = np.stack([osc / 2, 0 * osc], -1)  # odds e^{d/2}, turned to e^{-d/2}
  two = special.softmax(z, -1) - special.softmax(
    z - np.stack([osc, 0 * osc], -1), -1
  )
  np.testing.assert_allclose(
    np.abs(two).sum(-1) / 2, bound, rtol=1e-9, atol=1e-12
  )


def test_7_a_scale_that_grows_needs_windows_that_grow():
  """z = x ln i, |x| <= 1: p*(sqrt i, i) of t^-4 rises with i, of t^-8 falls."""
  for power, want in ((4, (0.73, 0.97, 0.997)), (8, (1e-4, 1e-7, 1e-10))):
    for i, value in zip((1e2, 1e4, 1e6), want, strict=True):
      t, w = 1 + np.arange(int(i), dtype=float), int(i**0.5)
      b = t**-power
      p = dropped(np.log(b[w:].sum()), np.log(b[:w].sum()), 2 * np.log(i))
      if power == 4:
        assert float(p) == pytest.approx(value, abs=0.006)
      else:
        assert value / 10 < float(p) < value * 10


def test_every_test_that_the_page_names_is_there():
  root = pathlib.Path(__file__).parents[2]
  page = (root / 'docs' / 'theory.md').read_text()
  here = pathlib.Path(__file__)
  kinds = 'law', 'tightness', 'scored', 'space_laws', 'shapes'
  files = (here.with_name(f'test_{x}.py') for x in kinds)
  own = ''.join(path.read_text() for path in files)
  names = set(re.findall(r'`(test_\w+)`', page))
  assert len(names) > 8 and all(f'def {name}(' in own for name in names)
  for path in re.findall(r'`((?:tests|theory|attention)/[\w/]+\.py)`', page):
    assert (root / path).exists() or (root / 'extrapolation' / path).exists()
