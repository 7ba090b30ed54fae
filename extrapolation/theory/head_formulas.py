"""What theory is asked about, as one exact expression per head."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from extrapolation import rpe as encodings
from extrapolation.theory.errors import FormulaError
from extrapolation.theory.expression import trace
from extrapolation.theory.expression.formula import Formula
from extrapolation.theory.expression.graph import Node, nodes


def heads(subject: Any, params: Mapping | None = None) -> list[Node]:
  """The log weight of every head of an RPE, a jnp function or a formula.

  Without `params` the learned ones stay symbols: positive where the encoding
  constrains them to be, real otherwise.

  Raises:
    ValueError: what theory cannot read, in one line.
  """
  if isinstance(subject, str):
    subject = formula(subject)
  if isinstance(subject, Formula):
    return [subject.read(params)]
  if isinstance(subject, encodings.RPE):
    if params is None:
      params = symbols(subject)
    return trace.read(subject.bias, params)
  if not callable(subject):
    raise ValueError(
      f'{type(subject).__name__} is no encoding: theory reads an RPE, a jnp '
      'function of distance, or a formula as text'
    )
  return trace.read(subject, params)


def formula(text: str) -> Formula:
  """A formula in t.

  Raises:
    FormulaError: text that is the name of an encoding, or has no distance.
  """
  name = text.strip().partition(':')[0] if isinstance(text, str) else ''
  if name in encodings.names():
    raise FormulaError(
      f'{name!r} is an encoding, not a formula: use --rpe={text.strip()}, or '
      f'rpe.get({name!r}, H)'
    )
  out = Formula(text)
  if not out.has_distance:
    said = [n for n in out.parameters if n in ('n', 'd', 'x', 'T')]
    remedy = f'write t in place of {said[0]}' if said else 'write it in t'
    raise FormulaError(
      f'the formula {text[:40]!r} has no t, the distance: {remedy}'
    )
  return out


def parameters(heads: Sequence[Node]) -> list[str]:
  """Names of the parameters without a value."""
  seen = {n.data for head in heads for n in nodes(head) if n.op == 'param'}
  return sorted(name.lstrip('~') for name in seen)


def not_judged(subject: Any) -> str:
  """Why weights do not decide about an encoding; '' where they do."""
  if isinstance(subject, encodings.RPE) and not subject.bias_only:
    return f'order enters through {subject.beside_bias}, not through weights'
  return ''


def shapes(rpe: encodings.RPE) -> dict[str, tuple[int, ...]]:
  """The shape of every learned parameter."""
  specs = jax.eval_shape(rpe.init, jax.random.key(0))
  return {k: s.shape for k, s in specs.items()}


def symbols(rpe: encodings.RPE) -> dict[str, np.ndarray]:
  """A name for every learned number; `~` marks one that may be negative.

  A parameter with one number per head has one name for all heads, so the
  verdict reads in the letters of the formula.
  """
  specs = shapes(rpe)
  low = rpe.constrain({k: jnp.full(s, -5.0) for k, s in specs.items()})
  names = {}
  for key, shape in specs.items():
    mark = '' if bool((low[key] > 0).all()) else '~'
    out = np.empty(shape, object)
    for i in np.ndindex(shape):
      index = f'[{",".join(map(str, i))}]' if len(i) > 1 else ''
      out[i] = f'{mark}{key}{index}'
    names[key] = out
  return names


def load(path: str):
  """The object at `package.module:name`.

  Raises:
    ValueError: no such module or name.
  """
  module, _, name = path.partition(':')
  if not module or not name:
    raise ValueError(f'{path!r} is not of the form package.module:name')
  try:
    imported = importlib.import_module(module)
  except ImportError as e:
    raise ValueError(f'cannot import {module!r}: {e}') from e
  if not hasattr(imported, name):
    raise ValueError(f'module {module!r} has no {name!r}')
  return getattr(imported, name)
