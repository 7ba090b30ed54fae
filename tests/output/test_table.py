"""CSV that keeps every bit, and text that keeps its lines."""

import math

import hypothesis
import pytest
from hypothesis import strategies as st

from extrapolation.output import table

CELLS = st.one_of(
  st.integers(-(10**20), 10**20),
  st.floats(),
  st.text(st.characters(exclude_categories=['Cs', 'Cc'])),
)


@hypothesis.given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_values_survive_a_csv(tmp_path_factory, pairs):
  path = tmp_path_factory.mktemp('csv') / 'a.csv'
  rows = [dict(a=a, b=b) for a, b in pairs]
  table.write(path, rows)
  for row, again in zip(rows, table.read(path), strict=True):
    for key, value in row.items():
      assert str(again[key]) == str(value)
      if not isinstance(value, str):
        assert type(again[key]) is type(value)
        sign = math.copysign(1, again[key]) == math.copysign(1, value)
        # The sign of a NaN means nothing, and text has none.
        assert value != value or (again[key] == value and sign)


def test_a_commit_of_digits_is_no_number(tmp_path):
  words = ['5e12345', '0123456', '1_000', 'a "b", c', 'two\nlines', '']
  rows = [dict(commit=word, x=0.1) for word in words]
  table.write(tmp_path / 'a.csv', rows)
  assert table.read(tmp_path / 'a.csv') == rows


def test_columns_that_only_some_rows_have_are_empty(tmp_path):
  table.write(tmp_path / 'a.csv', [dict(a=1), dict(a=2, b=0.5)])
  rows = [dict(a=1, b=''), dict(a=2, b=0.5)]
  assert table.read(tmp_path / 'a.csv') == rows


def test_nothing_is_left_of_a_table_that_cannot_be_written(tmp_path):
  class Unprintable:
    def __str__(self):
      raise RuntimeError

  table.write(tmp_path / 'a.csv', [dict(a=1)])
  with pytest.raises(RuntimeError):
    table.write(tmp_path / 'a.csv', [dict(a=Unprintable())])
  assert [p.name for p in tmp_path.iterdir()] == ['a.csv']
  assert table.read(tmp_path / 'a.csv') == [dict(a=1)]


def test_a_line_of_text_is_a_row_however_long(monkeypatch):
  monkeypatch.setenv('FORCE_COLOR', '1')
  monkeypatch.setenv('COLUMNS', '40')
  names = [f'column_{i}' for i in range(60)]
  rows = [dict.fromkeys(names, 123_456.5), dict.fromkeys(names, '[red]x :ok:')]
  first, second, third = table.text(rows, names).split('\n')
  assert first.split() == names
  assert second.split() == ['1.23e+05'] * 60
  assert third.split('  ') == ['[red]x :ok:'] * 60
  assert '…' not in first and '\x1b' not in first + second + third


@pytest.mark.parametrize(
  'value, shown',
  [
    (None, '-'),
    ('12 [3..4]', '12 [3..4]'),
    (0, '0'),
    (1_234_567, '1,234,567'),
    (10**9, '1.00e+9'),
    (10**400, '1.00e+400'),
    (0.123456, '0.1235'),
    (9216.0, '9216'),
    (12_345.6, '1.23e+04'),
    (math.inf, 'inf'),
    (math.nan, 'nan'),
  ],
)
def test_there_is_one_way_to_show_a_number(value, shown):
  assert table.number(value) == shown
