"""Formulas against numbers from papers, derivations and other libraries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import rpe

KEY = jax.random.key(1)


def weights(name, H, n, **hyper):
  e = rpe.get(name, H, **hyper)
  return np.asarray(e.bias(jnp.arange(n), e.init(KEY)), np.float64)


def test_slopes_of_8_heads():
  np.testing.assert_array_equal(rpe.slopes(8)[:, 0],
                                [2.0**-h for h in range(1, 9)])  # fmt: skip


def test_slopes_of_12_heads():
  """Press et al.: those of 8 heads, then every second of 16 heads."""
  exponents = [1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5]
  np.testing.assert_allclose(rpe.slopes(12)[:, 0], [2.0**-e for e in exponents],
                             rtol=1e-7)  # fmt: skip


@pytest.mark.parametrize(
  'H, exponents',
  [
    (1, [8]),
    (3, [4, 8, 2]),
    (5, [2, 4, 6, 8, 1]),
    (7, [2, 4, 6, 8, 1, 3, 5]),
  ],
)
def test_slopes_of_odd_heads(H, exponents):
  np.testing.assert_allclose(rpe.slopes(H)[:, 0], [2.0**-e for e in exponents],
                             rtol=1e-7)  # fmt: skip


def test_slopes_refuse_no_heads():
  with pytest.raises(ValueError, match='H = 0'):
    rpe.slopes(0)


k = 2.0 ** -np.arange(1, 9)[:, None]  # of 8 heads
t = np.arange(2000.0)
x = k * t


@pytest.mark.parametrize(
  'name, hyper, expected',
  [
    ('alibi', {}, -x),
    ('type1', {}, -np.log(1 + x**2)),
    ('type2', {}, -(np.log(3 + x) ** 2)),
    ('alibi_floor', {}, np.log(np.exp(-x) + 1e-6)),
    ('alibi_floor', {'floor': 0.01}, np.log(np.exp(-x) + 0.01)),
    ('harmonic', {}, -np.log(1 + x)),
    ('harmonic', {'exponent': 1.5}, -1.5 * np.log(1 + x)),
    ('log_harmonic', {}, np.log(1 / ((3 + x) * np.log(3 + x)))),
    ('bertrand', {}, np.log(1 / ((3 + x) * np.log(3 + x) ** 2))),
    ('bertrand', {'exponent': 0.5}, -np.log((3 + x) * np.log(3 + x) ** 0.5)),
    ('log_power', {}, -(np.log(3 + x) ** 1.5)),
    ('log_power', {'exponent': 2.0}, -(np.log(3 + x) ** 2)),
    ('exp_sqrt', {}, -np.sqrt(x)),
    ('log_over_square', {}, np.log((1 + np.log(1 + x)) / (1 + x) ** 2)),
    ('power', {}, -(x**2)),
    ('power', {'exponent': 1.25}, -(x**1.25)),
    ('none', {}, 0 * x),
    ('window', {'width': 7}, np.where(t < 7, 0, -np.inf) + 0 * k),
  ],
)
def test_fixed_formulas_in_float64(name, hyper, expected):
  np.testing.assert_allclose(
    weights(name, 8, 2000, **hyper), expected, rtol=2e-6, atol=2e-6
  )


def test_sandwich_is_an_inner_product_of_sinusoids():
  """p_m . p_n of sinusoidal embeddings, less its value at 0, times H / 8h."""
  H, dbar = 8, 32
  n = dbar // 2
  w = 10000.0 ** (-np.arange(1, n + 1) / n)
  m = np.arange(300)[:, None]
  table = np.concatenate([np.sin(m * w), np.cos(m * w)], axis=1)
  products = table @ table[0]  # against position 0, so by distance
  scale = H / (8 * np.arange(1, H + 1))[:, None]
  np.testing.assert_allclose(
    weights('sandwich', H, 300, dbar=dbar), scale * (products - n), atol=2e-4
  )


def test_sandwich_log_weights_divide_by_the_compression_ratio():
  """Head 1 of 8 falls 8 times as fast as head 8, not the other way round."""
  b = weights('sandwich', 8, 100)
  np.testing.assert_allclose(b[0], 8 * b[7], rtol=1e-4)
  assert (b[0, 1:] < b[7, 1:]).all()


def test_t5_buckets():
  """bucket(t) >= 16 + m exactly when (t/16)^16 >= 8^m, in whole numbers."""
  e = rpe.get('t5', 1)
  params = {'value': jnp.arange(32.0)[:, None]}  # so the bias is the bucket
  got = np.asarray(e.bias(jnp.arange(3000), params))[0]
  for t in range(3000):
    if t < 16:
      want = t
    else:
      want = min(15 + sum(t**16 >= 16**16 * 8**m for m in range(40)), 31)
    assert got[t] == want, t
  assert got[113] == 31 and got[112] == 30


def test_kerple_formulas():
  e = rpe.get('kerple_log', 2)
  p = {'r1': jnp.asarray([1.5, 0.5]), 'r2': jnp.asarray([1.0, 0.1])}
  expected = [-1.5 * np.log1p(t), -0.5 * np.log1p(0.1 * t)]
  np.testing.assert_allclose(e.bias(jnp.arange(2000), p), expected, rtol=2e-6)
  e = rpe.get('kerple_power', 2)
  expected = [-1.5 * t, -0.5 * t**0.1]
  np.testing.assert_allclose(e.bias(jnp.arange(2000), p), expected, rtol=2e-6)


def test_kerple_starts_where_its_paper_does():
  """r1 ~ U(0, 2) and r2 ~ U(0, 1) for log; the other way round for power."""
  log = rpe.get('kerple_log', 4000).init(KEY)
  power = rpe.get('kerple_power', 4000).init(KEY)
  for values, upper in ((log['r1'], 2), (log['r2'], 1),
                        (power['r1'], 1), (power['r2'], 2)):  # fmt: skip
    assert 0 < values.min() < 0.05 * upper
    assert 0.95 * upper < values.max() <= upper
    np.testing.assert_allclose(values.mean(), upper / 2, rtol=0.04)


def test_rotary_is_multiplication_by_a_unit_complex_number():
  q = jax.random.normal(KEY, (1, 50, 1, 8))
  turned, _ = rpe.get('rotary', 1).rotate(q, q, jnp.arange(50))
  z = np.asarray(q[0, :, 0, :4]) + 1j * np.asarray(q[0, :, 0, 4:])
  w = 10000.0 ** (-np.arange(4) / 4)
  z = z * np.exp(1j * np.arange(50)[:, None] * w)
  np.testing.assert_allclose(turned[0, :, 0, :4], z.real, atol=2e-5)
  np.testing.assert_allclose(turned[0, :, 0, 4:], z.imag, atol=2e-5)


def test_xpos_decays_by_zeta():
  """With q = k = one rotated pair, q.k is cos(w d) zeta^(d / 512)."""
  K, pair = 8, 3
  q = jnp.zeros((1, 400, 1, K)).at[..., pair].set(1.0)
  a, b = rpe.get('xpos', 1).rotate(q, q, jnp.arange(400))
  got = jnp.einsum('tk,k->t', a[0, :, 0], b[0, 0, 0])
  d, w = np.arange(400), 10000.0 ** (-2 * pair / K)
  zeta = (2 * pair / K + 0.4) / 1.4
  np.testing.assert_allclose(got, np.cos(w * d) * zeta ** (d / 512), atol=1e-4)


def test_xpos_refuses_what_float32_cannot_hold():
  q = jnp.ones((1, 70_000, 1, 4))
  with pytest.raises(ValueError, match='70000.*beyond 61440; raise scale_base'):
    rpe.get('xpos', 1).rotate(q, q, jnp.arange(70_000))


def test_xpos_centres_positions_that_float32_cannot_hold_from_0():
  """zeta^-(n / 512) leaves float32 at n = 35,000 in the fastest pair."""
  T, far = 60_000, 400  # the pairs at both ends, where a slip would show
  q = jnp.zeros((1, T, 1, 8)).at[..., 0].set(1.0)
  a, b = (np.asarray(x[0, :, 0]) for x in
          rpe.get('xpos', 1).rotate(q, q, jnp.arange(T)))  # fmt: skip
  for i in (far, T - 1):
    d = np.arange(far)
    got = b[i - d] @ a[i]
    want = np.cos(d) * (0.4 / 1.4) ** (d / 512)
    np.testing.assert_allclose(got, want, atol=2e-2)  # float32 angles
    assert np.isfinite(b).all() and np.isfinite(a).all()


def test_sinusoidal_table():
  x = jnp.zeros((1, 100, 8))
  got = np.asarray(rpe.get('sinusoidal', 1).embed(x, jnp.arange(100)))[0]
  w = 10000.0 ** (-np.arange(4) / 3)
  angle = np.arange(100)[:, None] * w
  np.testing.assert_allclose(got, np.concatenate(
    [np.sin(angle), np.cos(angle)], 1), atol=1e-5)  # fmt: skip


def test_errors_name_what_there_is():
  with pytest.raises(ValueError, match="no encoding 'alibbi'.*'alibi'.*type2"):
    rpe.get('alibbi', 8)
  with pytest.raises(ValueError, match="no hyperparameter 'width'.*has: none"):
    rpe.get('none', 8, width=3)
  with pytest.raises(ValueError, match='exponent = -1'):
    rpe.get('power', 8, exponent=-1.0)
  with pytest.raises(ValueError, match='floor = 1.0'):
    rpe.get('alibi_floor', 8, floor=1.0)
  with pytest.raises(ValueError, match='exponent = 0'):
    rpe.get('harmonic', 8, exponent=0.0)
  with pytest.raises(ValueError, match='width = 0'):
    rpe.get('window', 8, width=0)
  with pytest.raises(ValueError, match='dbar = 7'):
    rpe.get('sandwich', 8, dbar=7)
  with pytest.raises(ValueError, match='buckets = 3'):
    rpe.get('t5', 8, buckets=3)
