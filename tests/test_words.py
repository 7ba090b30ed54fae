"""Words that gave way to the field's own terms, and must not come back.

`python tests/test_words.py` prints where they are.
"""

import ast
import pathlib
import re
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parent.parent
TEXTS = [
  *sorted(ROOT.glob('extrapolation/**/*.py')),
  *sorted(ROOT.glob('configs/**/*.py')),
  *sorted(ROOT.glob('launch/**/*.py')),
  *sorted(ROOT.glob('results/*/README.md')),
  *sorted(ROOT.glob('.github/*.md')),
  ROOT / 'README.md',
]

COUNTED = (
  'bits|buffers?|bytes|columns?|cores?|curves?|entry|entries|evaluations|files?|'
  'keys|lines?|nats|nodes?|numbers?|ones?|pages?|parameters?|perplexity|pieces?|'
  'points?|processe?s?|rows?|runs?|seconds|seeds|steps|tasks?|time|tokens|two|'
  'values?|windows?'
)
EACH = (
  'byte|curve|device|distance|encoding|file|head|host|key|layer|length|minute|'
  'node|pair|position|process|query|room|row|run|second|seed|sequence|step|'
  'subject|target|task|token|window|worker'
)
# What follows, unless the sentence goes on as in "keys a query sees".
NEXT = 'and|at|for|in|is|of|or|that|to|with'
# {what is not said: (what is said instead, an example that must be found)}
PHRASES = {
  rf'\b({COUNTED}) (of [\w ]+ )?an? ({EACH})(?=$|["\'`.,;:()*|]| ({NEXT})\b)': (
    'per', 'one a head'
  ),
  r'\bparts the two\b|\bparted\b': ('separates', 'by commas are parted'),
  r'\b(by|in) turns\b': ('interleaved', 'take the runs by turns'),
  r'\b(is|are|be) of --\w': ('needs --FLAG', '--at_once is of --sweep'),
  r'\b(is|are|be) told\b': ('is reported', 'a mistake is told'),
  r'\bgoes on on\b': ('continues on', 'a run goes on on any layout'),
  r'\bwhole or (nothing|not at all)\b': ('atomic', 'written whole or nothing'),
  r'\b(of|by) the dead\b|\bdead peers?\b': ('lost', 'runs of the dead'),
  r'\bsay=print\b|\bsay\(': ('logging', 'def train(c, say=print)'),
  r'\battend_and_log_sum\b': ('attend_with_lse', 'attend_and_log_sum(q)'),
  r'\bleave_at_once\b': ('exit_on_sigterm', 'leave_at_once()'),
  r'\bby chance as much or more\b': (
    'a permutation p-value', 'by chance as much or more in 1 % of orders'
  ),
}  # fmt: skip
# {name of a variable, argument, function or class: the term for it}
NAMES = {
  'born': 'init_sharded',
  'found': 'what was found: rows, shards',
  'held': 'lease',
  'like': 'abstract_state',
  'mine': 'what it is: lease, own rows',
  'place': 'what it is: position, constrain',
  'put': 'global_from_local',
  'rung': 'log_depth',
  'say': 'logging',
}


def phrases(text: str) -> Iterator[tuple[int, str, str]]:
  """(line, phrase, standard term) of a text, also of phrases across lines."""
  flat = re.sub(r'[#\s]', ' ', text)
  for pattern, (term, _) in PHRASES.items():
    for match in re.finditer(pattern.replace(' ', ' +'), flat):
      line = text.count('\n', 0, match.start()) + 1
      yield line, ' '.join(match[0].split()), term


def names(text: str) -> Iterator[tuple[int, str, str]]:
  """(line, name, standard term) of what a program defines."""
  for node in ast.walk(ast.parse(text)):
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
      name = node.id
    elif isinstance(node, ast.arg):
      name = node.arg
    elif isinstance(node, ast.FunctionDef | ast.ClassDef):
      name = node.name
    else:
      continue
    if name in NAMES:
      yield node.lineno, name, NAMES[name]


def problems(path: pathlib.Path) -> list[str]:
  text = path.read_text()
  rows = {*phrases(text), *(names(text) if path.suffix == '.py' else ())}
  return [
    f'{path.relative_to(ROOT)}:{line}: {word!r}; say: {term}'
    for line, word, term in sorted(rows)
  ]


def test_the_words_are_the_standard_ones():
  lines = [line for path in TEXTS for line in problems(path)]
  assert not lines, '\n' + '\n'.join(lines)


@pytest.mark.parametrize('term, example', PHRASES.values())
def test_a_phrase_is_found(term, example):
  assert [row[2] for row in phrases(f'First line.\n{example}')] == [term]


@pytest.mark.parametrize(
  'text, line',
  [
    ('"""One row.\n\nThe loss in nats\n  a token."""', 3),
    ('# rows a\n# run.', 1),
  ],
)
def test_a_phrase_is_found_across_lines(text, line):
  assert [row[0] for row in phrases(text)] == [line]


@pytest.mark.parametrize(
  'text',
  ['keys a query sees', 'one per head', 'a file of a run', 'Windows: a window'],
)
def test_plain_english_is_left_alone(text):
  assert not list(phrases(text))


@pytest.mark.parametrize('name', NAMES)
def test_a_name_is_found(name):
  text = f'def f({name}=1):\n  {name}: int = 2\n  for {name} in (): pass\n'
  assert [row[0] for row in sorted(names(text))] == [1, 2, 3]
  assert [row[1] for row in names(f'def {name}(): pass')] == [name]
  assert not list(names(f'x.{name}(y={name})'))


if __name__ == '__main__':
  print('\n'.join(line for path in TEXTS for line in problems(path)))
