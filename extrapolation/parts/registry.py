"""One kind of part: a folder in which the file is the registration."""

import dataclasses
import difflib
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Registry:
  """Every file NAME.py of a package that has `make(H, **hyper) -> record`.

  The keyword arguments of `make`, with their defaults, are the
  hyperparameters of the part NAME.

  Attributes:
    package: dotted name of the package.
    noun: what messages call one of its parts.
    record: name of the class in `PACKAGE.base` that `make` returns.
    others: files that are no parts, beside those that begin with `_`.
    given: arguments of `make` before its hyperparameters.
  """

  package: str
  noun: str
  record: str
  others: tuple[str, ...] = ('base', 'check')
  given: tuple[str, ...] = ('H',)

  def names(self) -> list[str]:
    """Every part there is, in alphabetical order."""
    path = importlib.import_module(self.package).__path__
    files = (m.name for m in pkgutil.iter_modules(path))
    return sorted(n for n in files if n not in self.others and n[0] != '_')

  def defaults(self, name: str) -> dict[str, Any]:
    """The hyperparameters of a part with their default values."""
    parameters = list(inspect.signature(self._make(name)).parameters.values())
    return {p.name: p.default for p in parameters[len(self.given) :]}

  def label(self, name: str, hyper: Mapping[str, Any]) -> str:
    """`NAME:KEY=VALUE:...` with the hyperparameters that are not the default.

    Values are written as they are read: true and false without capitals.
    """
    known = self.defaults(name)
    changed = [f'{k}={text(v)}' for k, v in hyper.items() if v != known[k]]
    return ':'.join([name, *changed])

  def get(self, name: str, /, *given: Any, **hyper: Any) -> Any:
    """The record of the part `name`, of a clock or a heat for H heads.

    Raises:
      ValueError: no such part, or a hyperparameter that it does not have or
        cannot take; the message lists what there is.
    """
    make, known = self._make(name), self.defaults(name)
    for key in hyper:
      if key not in known:
        has = ', '.join(known) or 'none'
        raise ValueError(
          f'{self.noun} {name!r} has no hyperparameter {key!r}; it has: {has}'
        )
    try:
      made = make(*given, **hyper)
    except ValueError:  # of a hyperparameter
      raise
    except Exception as e:  # whatever a file of the user's own raises
      raise self._unusable(name, f'{type(e).__name__}: {e}') from e
    base = importlib.import_module(f'{self.package}.base')
    if not isinstance(made, getattr(base, self.record)):
      what = type(made).__name__
      raise self._unusable(name, f'make() gives {what}, not a {self.record}')
    return dataclasses.replace(made, name=name)

  def file_of(self, name: str) -> str:
    """The path of the file of a part; '' where there is none."""
    spec = importlib.util.find_spec(f'{self.package}.{name}')
    return spec.origin or '' if spec else ''

  def _make(self, name: str) -> Callable:
    names = self.names()
    if name not in names:
      name = name[:80]
      close = difflib.get_close_matches(name, names, 1)
      hint = f' (did you mean {close[0]!r}?)' if close else ''
      raise ValueError(
        f'no {self.noun} {name!r}{hint}; there are: ' + ', '.join(names)
      )
    try:
      make = importlib.import_module(f'{self.package}.{name}').make
      parameters = list(inspect.signature(make).parameters.values())
    except Exception as e:  # whatever a file of the user's own raises
      raise self._unusable(name, f'{type(e).__name__}: {e}') from e
    for p in parameters[len(self.given) :]:
      if p.default is p.empty:
        raise self._unusable(name, f'make() has no default for {p.name!r}')
    return make

  def _unusable(self, name: str, why: str) -> ValueError:
    why = ' '.join(why.split())[:300]
    file = self.file_of(name)
    return ValueError(f'{self.noun} {name!r} cannot be used: {file}: {why}')


def text(value: Any) -> str:
  """A hyperparameter as a spec writes it.

  >>> text(True), text(16.0), text(0.5), text('yarn')
  ('true', '16', '0.5', 'yarn')
  """
  if isinstance(value, bool):
    return str(value).lower()
  whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
  return str(int(value)) if whole else str(value)
