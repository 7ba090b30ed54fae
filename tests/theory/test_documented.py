"""Every field and column that is printed is documented, and no other."""

import csv
import io
import json
import pathlib
import re

import pytest

from extrapolation.theory import __main__ as main

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / 'docs' / 'theory.md'
RESULTS = ROOT / 'results' / 'theory'
EPS = '0.25'
ARGS = (
  '--rpe=alibi,none,kerple_log,rotary',
  '--rpe=alibi@randomized*log_n,linear@forget:gate=fixed',
  '--formula=-2*log(t)',
  '--formula=-log(t+1)',
)
FLAGS = (
  f'--eps={EPS}', '--heads=2', '--horizon=64', '--train_length=8',
  '--logit_bound=1', '--window_error=0.5',
)  # fmt: skip
IN_SPACE = (
  f'--eps={EPS}', '--heads=2', '--geometry=grid', '--train=4x4', '--test=6x8',
  '--logit_bound=1',
)  # fmt: skip


def documented():
  text = DOCS.read_text().split('## Numbers that are printed')[1]
  columns = text[text.index('In CSV') : text.index('All are proved')]
  return table_of(text), {*re.findall(r'`(\w+)`', columns)}


def documented_in_space():
  text = DOCS.read_text().split('## Numbers in a space')[1].split('\n## ')[0]
  columns = text[text.index('The columns of CSV') : text.index('`--all`')]
  return table_of(text), {*re.findall(r'`(\w+)`', columns)}


def table_of(text):
  """Names in the first cells of tables."""
  rows = re.findall(r'^\| (`.*?) \|', text, re.MULTILINE)
  return {name for row in rows for name in re.findall(r'`(.*?)`', row)}


def paths(value, path=''):
  """Of all that is no folder of others; lists of records share theirs."""
  if isinstance(value, list) and value and isinstance(value[0], dict):
    for item in value:
      yield from paths(item, '')
    yield path
  elif isinstance(value, dict) and value:
    for key, item in value.items():
      name = 'EPS' if key == EPS else key
      yield from paths(item, f'{path}.{name}'.strip('.'))
  elif path not in ('trf', 'horizon.trf', 'tightness.window'):  # {}
    yield path


def out_of(capsys, args, form, flags=FLAGS):
  main.main([args, *flags, f'--format={form}'])
  return capsys.readouterr().out


def test_fields(capsys, tmp_path):
  about = dict(name='alibi', H=2, hyper={}, train_length=8, init={}, final={})
  (tmp_path / 'rpe.json').write_text(json.dumps(about))
  printed = {
    path
    for args in (*ARGS, f'--workdir={tmp_path}')
    for path in paths(json.loads(out_of(capsys, args, 'json')))
  }
  assert printed - {''} == documented()[0]


def test_fields_in_a_space(capsys, tmp_path):
  about = dict(name='alibi', H=2, hyper={}, train_length=8, init={}, final={})
  (tmp_path / 'rpe.json').write_text(json.dumps(about))
  printed = {
    path
    for args in (ARGS[0], f'--workdir={tmp_path}')
    for path in paths(json.loads(out_of(capsys, args, 'json', IN_SPACE)))
  }
  absent = {'shapes', 'tightness.window'}  # null of a head, and {}
  assert printed - {'', *absent} == documented_in_space()[0] - absent


def test_columns_in_a_space(capsys):
  rows = csv.DictReader(io.StringIO(out_of(capsys, ARGS[0], 'csv', IN_SPACE)))
  printed = {name.replace(EPS, 'EPS') for name in rows.fieldnames}
  assert printed == documented_in_space()[1]


@pytest.mark.parametrize('args', ARGS)
def test_columns(capsys, args):
  rows = csv.DictReader(io.StringIO(out_of(capsys, args, 'csv')))
  fields, columns = documented()
  own = {'subject', 'head', 'verdict', 'condition', 'margin', 'argument'}
  assert own - {'head'} <= fields
  printed = {name.replace(EPS, 'EPS') for name in rows.fieldnames}
  assert printed - own <= columns
  if args == ARGS[0]:
    assert columns - printed <= {'inf', 'tight_EPS'}


def test_results(capsys):
  """The kept CSV has the columns, and the rows, of its command today."""
  with open(RESULTS / 'encodings.csv') as f:
    kept = [*csv.DictReader(f)]
  names = {re.sub(r'0\.[01]+', 'EPS', name) for name in kept[0]}
  assert names == table_of((RESULTS / 'README.md').read_text())
  main.main(['--rpe=harmonic', '--logit_bound=1', '--format=csv'])
  rows = [*csv.DictReader(io.StringIO(capsys.readouterr().out))]
  columns = rows[0]  # the others are of encodings that are not asked for
  known = [row for row in kept if row['subject'] == 'harmonic']
  assert rows == [{k: row[k] for k in columns} for row in known]
  assert not any(row[k] for row in known for k in row.keys() - columns)
