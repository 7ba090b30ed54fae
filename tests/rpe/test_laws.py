"""Laws that every encoding keeps; a new file is under all of them."""

import dataclasses
import functools
import importlib
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import attention, rpe
from extrapolation.rpe import base, laws

KEY = jax.random.key(0)
H, T = laws.H, laws.T


@pytest.mark.parametrize('law', laws.LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize('name', rpe.names())
def test_every_encoding_keeps_the_law(name, law):
  why = law(functools.partial(rpe.get, name))
  assert isinstance(why, str)  # of what it does not apply to


def changed(name, /, **fields):
  """An encoding with some functions in place of its own."""
  return lambda H: dataclasses.replace(rpe.get(name, H), **fields)


def of(bias):
  """`bias(distance)` as the bias of every head."""
  return lambda H: base.RPE(
    bias=lambda t, p: jnp.ones((H, 1), jnp.float32) * bias(t), source='a test'
  )


def learned(H, **fields):
  return dataclasses.replace(rpe.get('kerple_log', H), **fields)


def mean_of_all(q, k, positions):
  return q - q.mean(1, keepdims=True), k


BROKEN = [
  ('bias_is_float32', of(lambda t: (t * 1.0).astype(jnp.bfloat16)[:3])),
  ('any_number_of_heads', lambda H: rpe.get('alibi', min(H, 8))),
  ('bias_is_a_log', of(lambda t: jnp.where(t > 2**20, jnp.nan, -t * 1.0))),
  ('bias_is_a_log', of(lambda t: jnp.log(t * 1.0))),
  ('bias_is_of_each', of(lambda t: -t / t.shape[0])),
  ('bias_is_of_each', of(lambda t: -jnp.cumsum(t) * 1.0)),
  ('bias_can_be_comp', changed('kerple_log', bias=lambda t, p: jnp.zeros(
    (H, T)) + float(p['r1'][0]))),
  ('rotate_knows', changed('rotary', rotate=lambda q, k, t: (
    q * (1 + t[:, None, None]), k))),
  ('rotate_is_of_each', changed('rotary', rotate=mean_of_all)),
  ('rotate_keeps', changed('xpos', causal=False)),
  ('embed_does_not', changed('sinusoidal', embed=lambda x, t: x + x.shape[1])),
  ('rotate_and_embed', changed('rotary', rotate=lambda q, k, t: (
    q.astype(jnp.float32), k))),
  ('constrain_is', functools.partial(learned, unconstrain=lambda p: p)),
  ('parameters_have', functools.partial(learned, bias=lambda t, p: jnp.zeros(
    (H, T)) + p['r1'][:, None])),
  ('parameters_have', functools.partial(learned, bias=lambda t, p: jnp.zeros(
    (H, T)) + jnp.sqrt(0 * p['r1'][:, None]))),
  ('parameters_stay', changed('kerple_log', constrain=lambda p: {
    k: jnp.log(v) for k, v in p.items()}, unconstrain=lambda p: {
    k: jnp.exp(v) for k, v in p.items()})),
  ('source_is_given', changed('alibi', source=' ')),
]  # fmt: skip


@pytest.mark.parametrize('start, make', BROKEN)
def test_a_law_finds_what_breaks_it(start, make):
  (law,) = (law for law in laws.LAWS if law.__name__.startswith(start))
  with pytest.raises(laws.Broken):
    law(make)


def test_every_law_can_be_broken():
  names = [law.__name__ for law in laws.LAWS]
  assert {n for n in names if any(n.startswith(s) for s, _ in BROKEN)} == {
    *names
  }


def test_attention_is_causal_by_gradient(encoding):
  """Output i has no derivative with respect to anything after i."""
  q, k, v = jax.random.normal(KEY, (3, 1, T, 4, 8))
  table = encoding.bias(jnp.arange(T), encoding.init(KEY))
  for i in (0, 5, T - 1):
    grads = gradients(encoding.rotate, i, q, k, v, table)
    for g in grads:
      assert np.isfinite(g).all()
      assert (np.asarray(g[0, i + 1 :]) == 0).all()
    assert np.abs(grads[2][0, : i + 1]).max() > 0


@functools.partial(jax.jit, static_argnums=0)
def gradients(rotate, i, q, k, v, table):
  """Those of output i in q, k and v; one program for all that do not rotate."""

  def out(q, k, v):
    q, k = rotate(q, k, jnp.arange(T))
    return attention.attend(q, k, v, table)[0, i].sum()

  return jax.grad(out, argnums=(0, 1, 2))(q, k, v)


def test_formula_is_given_and_the_file_is_short(encoding):
  module = importlib.import_module(f'extrapolation.rpe.{encoding.name}')
  assert '=' in module.make.__doc__
  assert len(inspect.getsource(module).splitlines()) <= 45
