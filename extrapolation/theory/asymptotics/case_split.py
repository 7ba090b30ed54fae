"""Every case of the parameters, and the condition that they add up to."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import sympy as sp

from extrapolation.theory.asymptotics.sign_oracle import Expr, Oracle, canonical
from extrapolation.theory.errors import (
  NeedsCaseSplit,
  NotProved,
  UndefinedWeight,
)
from extrapolation.theory.expression.three_valued import all_of, any_of

MAX_CASES = 81


FLIP = {'>': '<', '<': '>', '>=': '<=', '<=': '>=', '==': '==', '!=': '!='}


@dataclasses.dataclass(frozen=True)
class Atom:
  """expression relation 0."""

  expression: Expr
  relation: str

  def __str__(self):
    e, relation = sp.together(self.expression), self.relation
    numerator, denominator = e.as_numer_denom()
    if denominator.is_positive:
      e = sp.expand(numerator)
    free = sorted(e.free_symbols, key=str)
    if len(free) == 1 and e.is_polynomial(*free) and sp.degree(e) == 1:
      slope = e.coeff(free[0], 1)
      bound = sp.expand(-(e - slope * free[0]) / slope)
      if bound.has(sp.Float):
        bound = sp.nsimplify(bound)  # makes log(sqrt(2)) of log(2)/2
      relation = relation if slope > 0 else FLIP[relation]
      return f'{free[0]} {relation} {_text(bound)}'
    if e.is_polynomial(*free):
      _, e = e.primitive()  # in lowest terms
    terms: list[Any] = sorted(sp.Add.make_args(e), key=_degree_and_name)
    if terms[0].could_extract_minus_sign():
      terms, relation = [-x for x in terms], FLIP[relation]
    right = [x for x in terms if x.could_extract_minus_sign()]
    left = [x for x in terms if x not in right]
    return f'{_sum(left)} {relation} {_sum([-x for x in right])}'


def _degree_and_name(term: Expr) -> tuple:
  """Large degrees first, numbers last."""
  name = term.as_coeff_Mul()[1]
  powers = name.as_powers_dict().items()
  degree = sum(a for x, a in powers if x.is_Symbol and a.is_Rational)
  return term.is_number, -degree, str(name)


def _sum(terms: Iterable[Expr]) -> str:
  """In the order given, as sympy would not."""
  return ' + '.join(map(_text, terms)) or '0'


def _text(x: Expr) -> str:
  return str(x.xreplace({sp.E: sp.Symbol('e')}))  # as it is typed


# A disjunction of conjunctions of atoms, or whether it always holds.
Condition = list[list[Atom]] | bool


@dataclasses.dataclass(frozen=True)
class Leaf:
  """An outcome, and the assumptions and values under which it was found."""

  outcome: Any
  signs: Oracle
  values: dict


def explore(
  run: Callable, symbols: dict[str, sp.Symbol]
) -> tuple[list[Leaf], Condition]:
  """Runs `run(oracle, symbols)` in every case that it asks to tell apart.

  Raises:
    UndefinedWeight: in every case; NotProved where it is in some.

  Returns:
    (leaves, condition): the outcomes, and the disjunction of conjunctions of
    atoms under which `outcome.converges` is true; True or False when constant.
  """
  leaves, undefined = [], []

  def visit(signs: Oracle, values: dict):
    if len(leaves) > MAX_CASES:
      raise NotProved(
        f'the signs of the parameters leave more than {MAX_CASES} cases; give '
        'some of them values with params, or --set=NAME=VALUE'
      )
    try:
      outcome = run(signs, values)
    except NeedsCaseSplit as fork:
      return branch(fork.expression, signs, values)
    except UndefinedWeight as e:
      undefined.append((e, signs, values))
      return []
    leaves.append(Leaf(outcome, signs, values))
    return [[]] if outcome.converges else []

  def branch(e: Expr, signs: Oracle, values: dict):
    if e.func is sp.log:
      e = e.args[0] - 1
    cases = {}
    for s in (1, -1):
      cases[s] = visit(Oracle((*signs.assumed, (e, s))), values)
    cases[0] = _on_boundary(e, signs, values, visit)
    return _join(e, cases)

  condition = visit(Oracle(), dict(symbols))
  for e, signs, values in undefined:
    if not leaves:
      raise e
    raise NotProved(f'where {_case(signs, values)} there is no weight: {e}')
  if condition in ([], [[]]):
    return leaves, bool(condition)
  return leaves, _shortest(condition, leaves, symbols)


def _on_boundary(e: Expr, signs: Oracle, values: dict, visit: Callable):
  """The case e = 0, with one symbol eliminated where e is linear in it."""
  slopes = {
    x: canonical(sp.diff(e, x)) for x in sorted(e.free_symbols, key=str)
  }
  linear = [x for x, slope in slopes.items() if not slope.has(x)]
  # What is divided by must not vanish: slopes with a known sign come first.
  for x in sorted(linear, key=lambda x: not slopes[x].is_nonzero):
    try:
      if signs.sign(slopes[x]) == 0:
        continue
    except (NeedsCaseSplit, NotProved):
      continue
    solved = sp.cancel(x - e / slopes[x])
    if x.is_positive and solved.is_nonpositive:
      return None  # cannot happen
    assumed = [(canonical(a.subs(x, solved)), s) for a, s in signs.assumed]
    if x.is_positive and not solved.is_positive:
      assumed.append((solved, 1))
    for a, s in assumed:
      if a.is_number and Oracle().sign(a) != s:
        return None
    assumed = [(a, s) for a, s in assumed if not a.is_number]
    new = {
      n: canonical(sp.sympify(v).subs(x, solved)) for n, v in values.items()
    }
    return visit(Oracle(tuple(assumed)), new)
  return visit(Oracle((*signs.assumed, (e, 0))), values)


def _case(signs: Oracle, values: dict) -> str:
  """The assumptions of a case in words."""
  solved = [f'{n} == {v}' for n, v in values.items() if str(v) != n]
  atoms = (Atom(e, {1: '>', 0: '==', -1: '<'}[s]) for e, s in signs.assumed)
  return ' and '.join([*solved, *map(str, atoms)])


RELATIONS = {
  (True, False, False): '>',
  (False, False, True): '<',
  (False, True, False): '==',
  (True, True, False): '>=',
  (False, True, True): '<=',
  (True, False, True): '!=',
}


def _shortest(
  condition: list[list[Atom]], leaves: list[Leaf], symbols: dict[str, sp.Symbol]
):
  """One atom, or two joined, that tell the outcomes of all leaves apart."""
  seen = {a.expression for conjunction in condition for a in conjunction}
  atoms = [
    Atom(e, r)
    for e in sorted(seen, key=lambda e: (sp.count_ops(e), str(e)))
    for r in ('>', '>=', '<', '<=', '!=', '==')
  ]
  truth = {a: [_holds(a, leaf, symbols) for leaf in leaves] for a in atoms}
  wanted = [leaf.outcome.converges for leaf in leaves]
  for a in atoms:
    if truth[a] == wanted:
      return [[a]]
  for a, b in itertools.combinations(atoms, 2):
    pairs = list(zip(truth[a], truth[b], strict=True))
    if [all_of(*p) for p in pairs] == wanted:
      return [[a, b]]
    if [any_of(*p) for p in pairs] == wanted:
      return [[a], [b]]
  return condition


def _holds(
  atom: Atom, leaf: Leaf, symbols: dict[str, sp.Symbol]
) -> bool | None:
  """Whether an atom holds in the case of a leaf; None if that is not known."""
  new = {symbols[n]: v for n, v in leaf.values.items()}
  try:
    s = leaf.signs.sign(canonical(atom.expression.subs(new, simultaneous=True)))
  except (NeedsCaseSplit, NotProved):
    return None
  return {
    '>': s > 0, '>=': s >= 0, '<': s < 0, '<=': s <= 0, '==': s == 0,
    '!=': s != 0,
  }[atom.relation]  # fmt: skip


def _join(e: Expr, cases: dict[int, Any]):
  """One condition from those of the cases e > 0, e = 0, e < 0."""
  if cases[0] is None:  # impossible: as the side that makes it simplest
    cases[0] = cases[1] if cases[1] == cases[-1] else []
  if cases[1] == cases[0] == cases[-1]:
    return cases[1]
  out, done = [], set()
  for s in (1, 0, -1):
    if s in done or not cases[s]:
      continue
    same = tuple(cases[k] == cases[s] for k in (1, 0, -1))
    done |= {k for k, eq in zip((1, 0, -1), same, strict=True) if eq}
    atom = Atom(e, RELATIONS[same])
    out += [[atom, *rest] for rest in cases[s]]
  return out


def text(condition: Condition) -> str:
  """`r1 > 1`, `a > 1 or (a == 1 and b > 1)`."""
  if isinstance(condition, bool):
    return str(condition).lower()
  parts = [' and '.join(map(str, conjunction)) for conjunction in condition]
  if len(parts) == 1:
    return parts[0]
  return ' or '.join(f'({p})' if ' and ' in p else p for p in parts)
