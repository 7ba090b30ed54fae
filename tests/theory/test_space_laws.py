"""Theorems 16 and 17 on shapes: their hypotheses, bounds and steps."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import geometry, rpe, theory
from extrapolation.geometry import counts
from extrapolation.rpe.rates import Rates
from extrapolation.theory import space, subjects
from extrapolation.theory.attended import Head

# Theorem 17.


def said(verdict):
  return verdict.condition or verdict.verdict


FALLING = (
  '-t', '-sqrt(t)', '-2*log(t+1)', '-2.5*log(1+2*t)', '-log(t+1)**2',
  '-r1*log(1+r2*t)', '-r1*t**r2', '-floor(t)', 'max(-t,-5)',
)  # fmt: skip


@pytest.mark.parametrize('formula', FALLING)
def test_17_norms_agree_where_the_bias_never_rises(formula):
  assert theory.never_rises(formula) == [True]
  l1, l2, top = (
    said(theory.verdict(formula, geometry=f'grid:norm={norm}')[0])
    for norm in ('l1', 'l2', 'max')
  )
  assert l1 == l2 == top


@pytest.mark.parametrize('formula', ['sin(t)-t', '-abs(t-3)', 'log(t)-2*t'])
def test_17_a_bias_that_rises_is_not_judged_by_another_norm(formula):
  (found,) = theory.verdict(formula, geometry='grid:norm=l2')
  assert found.verdict == 'unknown' and 'never rises' in found.argument
  assert theory.verdict(formula, geometry='grid')[0].verdict == 'converges'


def test_17_sums_of_scales_of_the_proof():
  """sum t^(D-1) f(t/m) <= m^D 2^(D-1) sum k^(D-1) f(k), from m on."""
  t = np.arange(1, 200_000)
  for D, f in ((2, lambda x: (1 + x) ** -2.2), (3, lambda x: np.exp(-x / 9))):
    for m in (1, 2, 5):
      left = (t[t >= m] ** (D - 1.0) * f(t[t >= m] / m)).sum()
      assert left <= m**D * 2 ** (D - 1) * (t ** (D - 1.0) * f(t)).sum()


# Theorem 16: the hypotheses, and the bound.

BOXES = [('both', (9,)), ('grid', (4, 6)), ('grid:norm=max', (5, 4)),
         ('grid:3', (3, 4, 3)), ('tree:2:vertex', (5,)), ('tree:3:vertex', (4,))
         ]  # fmt: skip


@pytest.mark.parametrize('text, size', BOXES)
def test_16_no_query_of_a_shape_has_more_keys(text, size):
  g = geometry.parse(text)
  for query in range(len(g.places(size))):
    t, n = counts.of_query(g, size, query)
    assert (n <= np.exp(g.log_count(jnp.asarray(t))) * (1 + 1e-5)).all()


@pytest.mark.parametrize('r', [2, 3])
def test_16_leaves_have_no_more_keys_than_those_of_a_tree_without_end(r):
  g, depth = geometry.parse(f'tree:{r}:leaf'), 5
  leaves = range(len(g.places((depth - 1,))), len(g.places((depth,))))
  for leaf in leaves:
    t, n = counts.of_query(g, (depth,), leaf)
    limit = np.exp(g.log_count(jnp.asarray(t))) * (1 + 1e-5)
    assert (n <= limit).all()
    np.testing.assert_allclose(n[: depth + 1], limit[: depth + 1], rtol=1e-4)


def shares(text, size, b, M, r):
  """R_q(r) of every query of a shape, far logits M and near ones -M."""
  g = geometry.parse(text)
  x = g.places(size)
  t = np.asarray(g.distance(x[:, None], x[None]))
  w = np.exp(np.where(t >= r, M, -M) + b(t))
  return np.where(t >= r, w, 0).sum(1) / w.sum(1)


@pytest.mark.parametrize(
  'text, size', [('grid', (14, 11)), ('grid:norm=max', (12, 12)),
                 ('tree:2:vertex', (7,)), ('both', (40,))]
)  # fmt: skip
def test_16_one_distance_does_for_every_query(text, size):
  b, M = (lambda t: -0.9 * t), 0.4
  ((_, total),) = theory.total('-0.9*t', geometry=text)
  n = np.exp(geometry.parse(text).log_count(jnp.arange(9)))
  for r in (1, 3, 6):
    far = total - float(n[:r] @ np.exp(b(np.arange(r))))
    worst = shares(text, size, b, M, r).max()
    assert 0 < worst <= math.exp(2 * M) * far * (1 + 1e-6)


def test_16_a_diverging_sum_has_no_distance_that_does():
  """The far share of the middle grows with the box, though 1/t^2 converges."""
  b = lambda t: -2 * np.log1p(t)  # noqa: E731
  found = [shares('grid', (n, n), b, 0, 4).max() for n in (9, 17, 25, 33)]
  assert found == sorted(found) and found[-1] > found[0] + 0.1
  assert theory.tight('-2*log(1+t)')[0].verdict == 'tight'
  assert theory.tight('-2*log(1+t)', geometry='grid')[0].verdict == 'not tight'


def test_16_the_query_itself_needs_a_weight():
  assert theory.tight('log(t)-t')[0].verdict == 'tight'
  (found,) = theory.tight('log(t)-t', geometry='grid')
  assert found.verdict == 'unknown' and 'of the query itself' in found.argument
  (found,) = theory.tight('-log(t+1)*k', geometry='grid')
  assert (found.verdict, found.condition) == ('conditional', 'k > 2')


# Theorem 19.


def beyond(text, size, b, s, M, r, whole=True):
  """The largest share of the keys at distances >= r, logits within [-M, M]."""
  t, n = counts.of_query(geometry.parse(text), size)
  logs = s * b(t) if whole else b(t)
  far = t >= r
  logs = logs + np.where(far, s * M, -s * M)
  w = n * np.exp(logs - logs.max())
  return w[far].sum() / w.sum()


SHAPES = {
  'grid': [(9, 9), (65, 65), (513, 513), (2049, 2049)],
  'grid:3': [(9, 9, 9), (33, 33, 33), (65, 65, 65), (111, 111, 111)],
  'tree:2': [(4,), (8,), (12,), (17,)],
}


@pytest.mark.parametrize('text', SHAPES)
def test_19_a_whole_heat_is_tight_whatever_the_growth(text):
  """1 / (1 + t), which has no finite sum in any of them."""
  b = lambda t: -np.log1p(t)  # noqa: E731
  c, M = 1.0, 0.1
  r = 12 if text == 'tree:2' else 20  # g_r > 2 / c + 2 M
  n = [counts.of_query(geometry.parse(text), x)[1].sum() for x in SHAPES[text]]
  hot = [
    beyond(text, x, b, c * np.log(k), M, r)
    for x, k in zip(SHAPES[text], n, strict=True)
  ]
  cold = [beyond(text, x, b, 1.0, M, r) for x in SHAPES[text]]
  assert max(hot) < 1e-3 and cold[-1] > 0.5
  assert [x for x in hot if x] == sorted([x for x in hot if x], reverse=True)
  for spec, verdict in (
    ('harmonic', 'not tight'),
    ('harmonic*log_n', 'not tight'),
    ('harmonic*log_n:whole=true', 'tight'),
    ('none*log_n:whole=true', 'not tight'),
    ('window*log_n', 'tight'),
  ):
    (found,) = theory.tight(rpe.get(spec, 1), geometry=text)
    assert found.verdict == verdict, spec


def test_19_a_given_graph_is_one_window_under_every_heat(tmp_path):
  file = tmp_path / 'path.edges'
  file.write_text('0 1\n1 2\n')
  for spec in ('none*log_n', 'none*log_n:whole=true', 'harmonic*log_n'):
    (found,) = theory.tight(rpe.get(spec, 1), geometry=f'graph:{file}')
    assert found.verdict == 'tight' and 'a finite sum' in found.argument


@pytest.mark.parametrize('side', [-1, 1])
@pytest.mark.parametrize('text', SHAPES)
def test_19_a_bounded_bias_by_its_gap(text, side):
  """Tight iff c (g - 2 M) > 1, seen from both sides of it."""
  c, M = 0.5, 0.3
  g = 1 / c + 2 * M + side * 0.8
  b = lambda t: np.where(t < 3, 0.0, -g)  # noqa: E731
  shares = []
  for x in SHAPES[text]:
    n = counts.of_query(geometry.parse(text), x)[1].sum()
    shares.append(beyond(text, x, b, c * np.log(n), M, 3))
  # Near keys are more than one, so that it takes large shapes.
  assert (np.diff(shares[1:]) * side < 0).all()
  assert (shares[-1] < 0.1) if side > 0 else (shares[-1] > 0.5)
  (node,) = subjects.read(lambda t: jnp.where(t < 3, 0.0, -g)).heads
  head = Head(node, Rates(1.0, 1.0, c), is_one=False, whole=True)
  found = space.of(text).tight(head, M)
  assert found.verdict == ('tight' if side > 0 else 'not tight')
  wanted = f'M < {(g - 1 / c) / 2:.5g}' if side > 0 else None
  assert space.of(text).tight(head).condition == wanted


@pytest.mark.parametrize('text', SHAPES)
def test_19_content_heat_has_no_distance(text):
  """exp(-t^2), finite in all: far keys that are hot enough take all."""
  b = lambda t: -0.01 * t**2  # noqa: E731
  cold, hot = [], []
  for x in SHAPES[text]:
    n = counts.of_query(geometry.parse(text), x)[1].sum()
    cold.append(beyond(text, x, b, 1.0, 1.0, 16, whole=False))
    hot.append(beyond(text, x, b, 3 * np.log(n), 1.0, 16, whole=False))
  assert hot[-1] > 0.999 and hot == sorted(hot)
  (found,) = theory.tight(rpe.get('type2*log_n', 1), geometry='grid')
  assert found.verdict == 'not tight' and 'n^(2 c M)' in found.argument
  (found,) = theory.tight(rpe.get('type2', 1), geometry='grid')
  assert found.verdict == 'tight'
