"""RoPE for longer contexts, against papers, derivations and transformers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import rpe
from extrapolation.rpe._frequencies import SCALINGS, Setting

KEY = jax.random.key(0)
# Of Phi-3.5-mini-128k: K = 96, L = 4096, s = 32.
PHI = (
  '1.08_1.11_1.14_1.34_1.59_1.60_1.62_2.62_3.23_3.23_4.79_7.40_7.70_9.09_12.20_'
  '17.67_24.46_28.57_30.42_30.84_32.59_32.93_42.32_44.96_50.34_50.45_57.55_'
  '57.93_58.21_60.14_62.61_62.62_62.71_63.14_63.14_63.77_63.93_63.96_63.97_'
  '64.03_64.07_64.08_64.12_64.41_64.48_64.51_64.53_64.84'
)


def setting(scaling='none', factor=0.0, L=512, p=1.0, long_factor=''):
  return Setting(10000.0, scaling, factor, L, p, long_factor)


def w_of(K, length=512, **hyper):
  return np.asarray(setting(**hyper).frequencies(K, jnp.arange(length)))


def base_of(w, K):
  """The base period of which w_m = base^(-2 m / K)."""
  return float(np.float64(w[-1]) ** (-K / (K - 2)))


def test_yarn_of_a_head_of_8():
  w = w_of(8, scaling='yarn', factor=4.0)
  np.testing.assert_allclose(w, [1, 0.0625, 0.0025, 0.00025], rtol=1e-6)
  c = setting('yarn', 4.0)
  assert c.temperature == pytest.approx(1.138629, abs=1e-6)
  assert c.temperature**2 == pytest.approx(1.296477, abs=1e-6)


def test_yarn_of_a_head_of_64():
  """Pairs up to 3 keep w, from 16 on they have w / s, linear between."""
  w, plain = w_of(64, scaling='yarn', factor=18.0), w_of(64)
  np.testing.assert_allclose(w[:4], plain[:4], rtol=1e-6)
  np.testing.assert_allclose(w[16:], plain[16:] / 18, rtol=1e-6)
  m = np.arange(3, 17)
  share = (m - 3) / 13
  np.testing.assert_allclose(
    w[3:17], plain[3:17] * (1 - share + share / 18), rtol=1e-5
  )
  assert setting('yarn', 18.0).temperature == pytest.approx(1.289037, abs=1e-6)
  assert (2 * np.pi / plain > 512).sum() == 16  # wavelengths beyond training


def test_ntk_raises_the_base():
  w = w_of(8, scaling='ntk', factor=4.0)
  np.testing.assert_allclose(w, [1, 0.0629961, 0.00396850, 0.00025], rtol=1e-6)
  assert base_of(w, 8) == pytest.approx(63496.04, rel=1e-6)
  w = w_of(64, scaling='ntk', factor=18.0)
  assert base_of(w, 64) == pytest.approx(197590.1, rel=2e-6)


def test_dynamic_follows_the_length():
  """Plain up to L, then s L' / L - (s - 1) in place of s."""
  hyper = dict(scaling='dynamic', factor=4.0)
  for length in (9, 512):
    np.testing.assert_array_equal(w_of(8, length, **hyper), w_of(8))
  w = w_of(8, 2048, **hyper)
  np.testing.assert_allclose(w, w_of(8, scaling='ntk', factor=13.0), rtol=1e-6)


def test_longrope_divides_by_its_numbers():
  c = setting('longrope', 32.0, 4096, long_factor=PHI)
  assert c.temperature == pytest.approx(1.190238, abs=1e-6)
  w, plain = np.asarray(c.frequencies(96, jnp.arange(2))), w_of(96)
  divisors = [float(x) for x in PHI.split('_')]
  np.testing.assert_allclose(plain / w, divisors, rtol=1e-6)


# Recorded from transformers 5.24.0, modeling_rope_utils.ROPE_INIT_FUNCTIONS:
# base 10000; K = 8, L = 512, s = 4, and K = 64, L = 512, s = 18; llama3 with
# factors 1 and 4, longrope with 1 + m / 4, dynamic at s L tokens. It calls
# position interpolation linear.
PAIRS = {8: (0, 1, 2, 3), 64: (1, 3, 8, 12, 16, 31)}
RECORDED = [
  ('pi', 8, 1.0, [0.25, 0.025, 0.0024999999, 0.00025000001]),
  ('dynamic', 8, 1.0, [1.0, 0.042529035, 0.0018087189, 7.6923076e-05]),
  ('yarn', 8, 1.138629436111989, [1.0, 0.0625, 0.0024999999, 0.00025000001]),
  ('llama3', 8, 1.0, [1.0, 0.1, 0.0024999999, 0.00025000001]),
  ('longrope', 8, 1.1055415967851334,
   [1.0, 0.079999998, 0.0066666668, 0.00057142857]),
  ('pi', 64, 1.0, [0.041660789, 0.023427583, 0.0055555557, 0.0017568211,
                   0.00055555557, 7.4084528e-06]),
  ('dynamic', 64, 1.0, [0.6234042, 0.24227533, 0.022811709, 0.0034453771,
                        0.0005203741, 4.343718e-07]),
  ('yarn', 64, 1.2890371757896164, [0.7498942, 0.42169651, 0.06367521,
                                    0.010946346, 0.00055555557, 7.4084528e-06]),
  ('llama3', 64, 1.0, [0.7498942, 0.42169651, 0.1, 0.017454922,
                       0.00055555557, 7.4084528e-06]),
  ('longrope', 64, 1.2096797097414906, [0.59991533, 0.24096945, 0.033333335,
                                        0.0079056947, 0.0020000001,
                                        1.5240245e-05]),
]  # fmt: skip


@pytest.mark.parametrize('scaling, K, temperature, w', RECORDED)
def test_transformers_has_the_same_frequencies(scaling, K, temperature, w):
  s = {8: 4.0, 64: 18.0}[K]
  divisors = '_'.join(str(1 + m / 4) for m in range(K // 2))
  long_factor = divisors if scaling == 'longrope' else ''
  c = setting(scaling, s, long_factor=long_factor)
  ours = c.frequencies(K, jnp.arange(int(512 * s)))
  np.testing.assert_allclose(ours[np.asarray(PAIRS[K])], w, rtol=2e-6)
  assert c.temperature == pytest.approx(temperature, rel=1e-12)


def hyper_of(scaling):
  hyper = dict(scaling=scaling)
  if scaling != 'none':
    hyper['factor'] = 4.0
  if scaling == 'longrope':
    hyper['long_factor'] = '1_2_3_4'
  return hyper


@pytest.mark.parametrize('scaling', SCALINGS)
def test_products_depend_on_differences_alone(scaling):
  """And on the length where the scaling does; the temperature is in q.k."""
  q, k = jax.random.normal(KEY, (2, 1, 24, 4, 8))
  encoding = rpe.get('rotary', 4, **hyper_of(scaling))

  def products(first):
    a, b = encoding.rotate(q, k, first + jnp.arange(24))
    return jnp.einsum('bthk,bshk->hts', a, b)

  np.testing.assert_allclose(products(400), products(0), rtol=2e-3, atol=2e-3)
  same = jnp.einsum('bthk,bthk->th', q, k)  # at distance 0
  temperature = Setting(
    10000.0, scaling, hyper_of(scaling).get('factor', 0.0), 512, 1.0,
    hyper_of(scaling).get('long_factor', ''),
  ).temperature  # fmt: skip
  here = jnp.einsum('htt->th', products(0))
  np.testing.assert_allclose(here, same * temperature**2, rtol=1e-4, atol=1e-5)


def test_p_turns_the_fastest_pairs_alone():
  w = w_of(64, p=0.25)
  np.testing.assert_array_equal(w[:8], w_of(64)[:8])
  assert (w[8:] == 0).all()
  q = jax.random.normal(KEY, (1, 9, 2, 8))
  turned, _ = rpe.get('rotary', 2, p=0.5).rotate(q, q, jnp.arange(9))
  still = np.asarray([2, 3, 6, 7])  # pairs (2, 6) and (3, 7)
  np.testing.assert_array_equal(turned[..., still], q[..., still])
  assert not np.allclose(turned[:, 1:, :, 0], q[:, 1:, :, 0])


@pytest.mark.parametrize('name', ['rotary', 'xpos'])
def test_positions_may_be_those_of_a_clock(name):
  """[T], [B, T] and [B, T, H]: each token turns by its own position."""
  q, k = jax.random.normal(KEY, (2, 2, 7, 3, 8))
  encoding, n = rpe.get(name, 3), jnp.arange(7)
  rotate = jax.jit(encoding.rotate)
  plain = rotate(q, k, n)
  for shape in ((2, 7), (1, 7, 1), (2, 7, 3)):
    given = n.astype(jnp.float32).reshape(
      (1, 7, 1) if len(shape) == 3 else (1, 7)
    )
    out = rotate(q, k, jnp.broadcast_to(given, shape))
    for a, b in zip(out, plain, strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  own = jnp.stack([n, 3 * n])  # the second sequence has its own
  (out, _), (want, _) = (
    rotate(q, k, own),
    rotate(q[1:], k[1:], 3 * n),
  )
  np.testing.assert_allclose(out[1:], want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
  'hyper, said',
  [
    (dict(scaling='yarm', factor=4.0),
     "scaling = 'yarm'; rotary has: none, pi, ntk, dynamic, yarn, llama3"),
    (dict(scaling='yarn'), 'scaling = yarn needs factor, the growth of the'),
    (dict(factor=4.0), 'factor = 4.0 is not used by scaling = none; give scal'),
    (dict(scaling='pi', factor=0.5), 'factor = 0.5: it must be >= 1'),
    (dict(scaling='pi', factor=-2.0), 'factor = -2.0: it must be >= 1'),
    (dict(scaling='longrope', factor=4.0), 'longrope needs long_factor, K/2'),
    (dict(scaling='pi', factor=4.0, long_factor='1_2'),
     'long_factor = 1_2 is not used by scaling = pi; give scaling = longrope'),
    (dict(scaling='longrope', factor=4.0, long_factor='1_x'), "'1_x': it must"),
    (dict(scaling='longrope', factor=4.0, long_factor='1_-2'), 'numbers > 0'),
    (dict(p=0.0), 'p = 0.0'),
    (dict(p=1.5), 'p = 1.5'),
    (dict(train_length=1), 'train_length = 1'),
    (dict(base_period=1.0), 'base_period = 1.0'),
    (dict(faktor=1.0), "no hyperparameter 'faktor'; it has: base_period"),
  ],
)  # fmt: skip
def test_errors_name_the_value_and_what_there_is(hyper, said):
  with pytest.raises(ValueError) as error:
    rpe.get('rotary', 4, **hyper)
  assert said in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize(
  'K, hyper, said',
  [
    (7, {}, 'head width K = 7'),
    (2, dict(scaling='ntk', factor=4.0), 'K = 2: scaling = ntk needs at least'),
    (8, dict(scaling='longrope', factor=4.0, long_factor='1_2_3'),
     'long_factor has 3 numbers; a head width of K = 8 needs 4'),
  ],
)  # fmt: skip
def test_head_widths_that_do_not_fit_are_named(K, hyper, said):
  q = jnp.ones((1, 3, 1, K))
  with pytest.raises(ValueError, match=said):
    rpe.get('rotary', 1, **hyper).rotate(q, q, jnp.arange(3))
