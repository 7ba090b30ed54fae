"""What theory is asked about: the exact log weight of every head, by name."""

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from extrapolation import rpe as encodings
from extrapolation.theory.errors import FormulaError, NotJudged, UnreadableBias
from extrapolation.theory.expression import trace
from extrapolation.theory.expression.formula import Formula
from extrapolation.theory.expression.graph import Node, nodes


@dataclasses.dataclass(frozen=True)
class Subject:
  """The heads of one encoding, function or formula.

  Attributes:
    name: what is printed.
    H: how many heads.
    formulas: their log weights; none where they are not judged.
    not_judged: why weights do not decide; '' where they do.
  """

  name: str
  H: int
  formulas: Sequence[Node] = ()
  not_judged: str = ''

  @property
  def heads(self) -> Sequence[Node]:
    """The log weights.

    Raises:
      NotJudged: order enters beside them.
    """
    if self.not_judged:
      raise NotJudged(f'{self.name} is not judged: {self.not_judged}')
    return self.formulas

  @property
  def parameters(self) -> list[str]:
    """Names of the parameters without a value."""
    seen = {n.data for f in self.formulas for n in nodes(f) if n.op == 'param'}
    return sorted(name.lstrip('~') for name in seen)


def read(what: Any, params: Mapping | None = None, name: str = '') -> Subject:
  """An RPE, a jnp function or a formula, as `theory.verdict` takes them.

  Without `params` the learned ones stay symbols: positive where the encoding
  constrains them to be, real otherwise.

  Raises:
    TheoryError: what theory cannot read, in one line.
  """
  if isinstance(what, encodings.RPE):
    name = name or what.name
    if not what.bias_only:
      why = f'order enters through {what.beside_bias}, not through weights'
      bias = jax.eval_shape(what.bias, jnp.arange(1), _learned(what))
      return Subject(name, bias.shape[0], not_judged=why)
    if params is None:
      params = symbols(what)
    formulas = trace.read(what.bias, params)
  elif isinstance(what, str | Formula):
    written = formula(what) if isinstance(what, str) else what
    formulas = [written.read(params)]
    name = name or written.text
  elif callable(what):
    formulas = trace.read(what, params)
  else:
    raise UnreadableBias(
      f'{type(what).__name__} is no encoding: theory reads an RPE, a jnp '
      'function of distance, or a formula as text'
    )
  return Subject(name or 'the function', len(formulas), formulas)


def heads(what: Any, params: Mapping | None = None) -> Sequence[Node]:
  """The log weight of every head; see `read`.

  Raises:
    NotJudged: order enters beside the weights.
  """
  return read(what, params).heads


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


def shapes(rpe: encodings.RPE) -> dict[str, tuple[int, ...]]:
  """The shape of every learned parameter."""
  return {k: s.shape for k, s in _learned(rpe).items()}


def _learned(rpe: encodings.RPE) -> dict[str, jax.ShapeDtypeStruct]:
  return jax.eval_shape(rpe.init, jax.random.key(0))


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
