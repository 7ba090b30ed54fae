"""Kernels for clocks, with a learned exponent, and with windows per head."""

import importlib
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import rpe, theory
from extrapolation.rpe import kernels

t = jnp.arange(2000)


def test_linear_has_slope_1_in_every_head():
  np.testing.assert_array_equal(
    rpe.get('linear', 3).bias(t, {}), np.tile(-np.arange(2000.0), (3, 1))
  )


def test_bam_of_the_paper():
  params = dict(a=jnp.asarray([0.0, 1.0]), p=jnp.asarray([0.5, 0.5]))
  b = rpe.get('bam', 2).bias(jnp.asarray([4]), params)
  np.testing.assert_allclose(b[:, 0], [-2.0000025, -5.4365705], rtol=3e-7)


@pytest.mark.parametrize('p', [-0.7, 0.3, 1.0, 1.6])
def test_bam_is_a_generalised_gaussian(p):
  """Also from 256 on, where the shift is left out of what float32 holds."""
  params = dict(a=jnp.asarray([-0.2]), p=jnp.asarray([p]))
  want = -np.exp(-0.2) * (np.arange(2000) + 1e-5) ** p
  np.testing.assert_allclose(rpe.get('bam', 1).bias(t, params)[0], want, 2e-6)


def test_bam_begins_without_a_preference():
  encoding = rpe.get('bam', 4)
  b = encoding.bias(t, encoding.init(jax.random.key(0)))
  np.testing.assert_array_equal(b, -np.ones((4, 2000)))


def test_bam_converges_iff_its_exponent_is_positive():
  encoding = rpe.get('bam', 1)
  (head,) = theory.verdict(encoding)
  assert (head.verdict, head.condition) == ('conditional', 'p > 0')
  for p, verdict in ((0.5, 'converges'), (0.0, 'diverges'), (-1.0, 'diverges')):
    params = dict(a=jnp.asarray([2.0]), p=jnp.asarray([p]))
    (head,) = theory.verdict(encoding, params)
    assert head.verdict == verdict, p


def test_hard_alibi_has_windows_of_1_2_3_then_none():
  b = np.asarray(rpe.get('hard_alibi', 8).bias(t, {}))
  assert (b[:4] == 0).sum(1).tolist() == [1, 2, 3, 4]
  assert (b[4:] == 0).all()
  for h in range(4):
    assert (b[h, : h + 1] == 0).all() and np.isneginf(b[h, h + 1 :]).all()
  every = np.asarray(rpe.get('hard_alibi', 3, share=1.0).bias(t, {}))
  assert (every == 0).sum(1).tolist() == [1, 2, 3]
  verdicts = [v.verdict for v in theory.verdict(rpe.get('hard_alibi', 2))]
  assert verdicts == ['converges', 'diverges']
  with pytest.raises(ValueError, match='share = 2.0: .* 0 to 1'):
    rpe.get('hard_alibi', 8, share=2.0)


def test_linear_converges():
  (head,) = theory.verdict(rpe.get('linear', 1))
  assert head.verdict == 'converges'


def test_a_power_of_a_logarithm_holds_type2_and_the_harmonic_tail():
  np.testing.assert_allclose(
    rpe.get('log_power', 4, exponent=2.0).bias(t, {}),
    rpe.get('type2', 4).bias(t, {}), rtol=1e-6,
  )  # fmt: skip
  tail = np.log(3 + np.asarray(rpe.slopes(4)) * np.arange(2000))
  one = rpe.get('log_power', 4, exponent=1.0).bias(t, {})
  np.testing.assert_allclose(one, -tail, rtol=1e-6)


def test_bertrand_holds_the_control_of_the_paper():
  np.testing.assert_allclose(
    rpe.get('bertrand', 4, exponent=1.0).bias(t, {}),
    rpe.get('log_harmonic', 4).bias(t, {}), rtol=1e-6,
  )  # fmt: skip


@pytest.mark.parametrize('name', ['bertrand', 'log_power'])
@pytest.mark.parametrize('exponent', [0.9, 1.0, 1.1, 3.7])
def test_sums_converge_where_the_exponent_is_above_1(name, exponent):
  """Cauchy's condensation turns both into sums that are in textbooks."""
  found = theory.verdict(rpe.get(name, 2, exponent=exponent))
  want = 'converges' if exponent > 1 else 'diverges'
  assert [v.verdict for v in found] == [want] * 2


@pytest.mark.parametrize('name', ['bertrand', 'log_power'])
@pytest.mark.parametrize('exponent', [0.0, -1.0, float('nan')])
def test_exponents_are_positive(name, exponent):
  with pytest.raises(ValueError, match=f'exponent = {exponent}'):
    rpe.get(name, 2, exponent=exponent)


def test_encodings_are_listed_anew_when_their_folder_changed(
  tmp_path, monkeypatch
):
  package = importlib.import_module(kernels.PACKAGE)
  monkeypatch.setattr(package, '__path__', [*package.__path__, str(tmp_path)])
  os.utime(tmp_path, ns=(1, 1))  # as of long ago
  assert 'added_later' not in rpe.names()
  (tmp_path / 'added_later.py').touch()
  assert 'added_later' in rpe.names()
