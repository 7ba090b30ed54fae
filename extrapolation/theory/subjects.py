"""What theory is asked about: the exact log weight of every head, by name."""

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from extrapolation import rpe as encodings
from extrapolation.rpe import rates as running
from extrapolation.rpe.rates import Rates
from extrapolation.theory import attended
from extrapolation.theory.attended import Head
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
    attended: where they do not, what attention does with them in each head;
      none where nothing is read of it.
  """

  name: str
  H: int
  formulas: Sequence[Node] = ()
  not_judged: str = ''
  attended: Sequence[Head] = ()

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
  def all_attended(self) -> Sequence[Head]:
    """What attention does in each head, those of a bias alone as well."""
    return self.attended or [Head(f, text=self.name) for f in self.formulas]

  @property
  def parameters(self) -> list[str]:
    """Names of the parameters without a value."""
    read = [*self.formulas, *(h.b for h in self.attended if h.b)]
    seen = {n.data for f in read for n in nodes(f) if n.op == 'param'}
    return sorted(name.lstrip('~') for name in seen)


def read(
  what: Any,
  params: Mapping | None = None,
  name: str = '',
  rates: Sequence[Rates] | None = None,
  mix: Mapping | None = None,
) -> Subject:
  """An RPE, a jnp function or a formula, as `theory.verdict` takes them.

  Without `params` the learned ones stay symbols: positive where the encoding
  constrains them to be, real otherwise. `rates` are those of given weights of
  its clock and heat, per head; `mix` is the learned part of its score.

  Raises:
    TheoryError: what theory cannot read, in one line.
  """
  if isinstance(what, encodings.RPE):
    name = name or what.name
    if not what.bias_only:
      why = f'order enters through {what.beside_bias}, not through weights'
      H = jax.eval_shape(what.bias, jnp.arange(1), _learned(what)).shape[0]
      params = symbols(what) if params is None else params
      heads = _attended(what, H, params, rates, mix)
      return Subject(name, H, not_judged=why, attended=heads)
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


def _attended(
  rpe: encodings.RPE,
  H: int,
  params: Mapping,
  rates: Sequence[Rates] | None,
  mix: Mapping | None,
) -> list[Head]:
  """Its heads, those of several side by side in turn."""
  if rpe.parts:
    size, out = H // len(rpe.parts), []
    for i, part in enumerate(rpe.parts):
      own = None if rates is None else rates[i * size : (i + 1) * size]
      of_score = None if mix is None else encodings.of_part(mix, i)
      own_params = encodings.of_part(params, i)
      out += _attended(part, size, own_params, own, of_score)
    return out
  formulas = trace.read(rpe.bias, params)
  known = running.initial(rpe, H) if rates is None else rates
  values = None if mix is None else dict(mix)
  return attended.heads(rpe, formulas, known, rates is not None, values)


def together(layers: Sequence[Subject], name: str) -> Subject:
  """The heads of layers that differ, in turn; all of them if none has more.

  Each layer's are numbered by it.
  """
  numbered = [
    dataclasses.replace(head, layer=i)
    for i, layer in enumerate(layers, 1)
    for head in layer.all_attended
  ]
  why = next((x.not_judged for x in layers if x.not_judged), '')
  return Subject(
    name,
    sum(x.H for x in layers),
    not_judged=why or 'layers take turns in several encodings',
    attended=numbered,
  )


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
