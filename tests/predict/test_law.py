"""The law: exact at 0, monotone, intervals, and the file that it comes in."""

import dataclasses
import hashlib
import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extrapolation.output import signed
from extrapolation.predict import fit, study
from extrapolation.predict import law as laws
from tests.predict.small import law

ROOT = pathlib.Path(__file__).parents[2]


@given(ends=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)))
def test_it_is_exact_at_zero_and_monotone(ends):
  known = laws.read()
  assert known.nats(0.0) == 0.0
  low, high = sorted(ends)
  assert known.nats(low) <= known.nats(high)
  # Wider with far mass, with what is beyond it, and around the prediction.
  a, b = (known.interval(F) for F in (low, high))
  assert a[0] <= known.nats(low) <= a[1]
  assert a[1] - a[0] <= b[1] - b[0] + 1e-12


def test_an_interval_by_hand():
  one = law(a=0.1, score=0.04)
  # 0.04 (0.25 + 0.5) = 0.03 to both sides of 0.05.
  assert one.interval(0.5) == pytest.approx((0.02, 0.08))
  assert one.interval(0.0) == pytest.approx((-0.01, 0.01))
  assert one.interval(0.5, wider=2.0) == pytest.approx((-0.01, 0.11))
  assert one.level == 0.9 and one.learned_factor == 2.5
  assert law(n=4).level == 0.8


def test_a_file_gives_the_law_back(tmp_path):
  one = law()
  laws.write(tmp_path / 'law.json', one)
  read = laws.read(str(tmp_path / 'law.json'))
  assert dataclasses.replace(read, digest='', path='') == one
  assert read.digest == signed.digest(one.to_dict())


@pytest.mark.parametrize(
  'change, why',
  [
    (dict(form='a F^9'), 'a F\\^9'),
    (dict(at=[0.1, 0.2]), 'has 1 coefficients'),
    (dict(at=[-0.1]), 'finite values >= 0'),
    (dict(left_out={}), ''),
    (dict(gap={}), ''),
    (dict(format=9), 'another format'),
  ],
)
def test_a_file_that_is_no_law_is_refused_in_one_line(tmp_path, change, why):
  path = tmp_path / 'law.json'
  body = {**law().to_dict(), **change}
  if 'gap' in change:
    body['gap'] = dict(wide=1)
  signed.write(path, body)
  with pytest.raises(signed.Damaged, match=f'is no law .*{why}') as e:
    laws.read(str(path))
  assert '\n' not in str(e.value)


def test_a_law_that_was_altered_or_is_absent_is_refused(tmp_path):
  path = tmp_path / 'law.json'
  laws.write(path, law())
  path.write_text(path.read_text().replace('0.05', '0.01'))
  with pytest.raises(signed.Damaged, match='was altered'):
    laws.read(str(path))
  with pytest.raises(ValueError, match='no law in .*--fit --out=DIR'):
    laws.read(str(tmp_path / 'absent.json'))


def test_the_packaged_law_is_of_the_studies_in_results():
  """Fit it anew when one of them changes: predict --fit --out=results/law."""
  known = laws.read()
  assert known.path == str(ROOT / 'results' / 'law' / 'law.json')
  folders = [pathlib.Path(folder) for folder in study.recorded()]
  for one, folder in zip(known.about['studies'], folders, strict=True):
    assert one['study'] == folder.name
    table = folder / 'sweep.csv'
    assert hashlib.sha256(table.read_bytes()).hexdigest() == one['sha256']
    assert one['corpus'] and bool(one['seeds']) == bool(one['encodings'])
  assert known.about['time'] and known.about['residuals']
  assert set(known.errors) == {'encoding', 'corpus', 'size'}
  assert json.loads(json.dumps(known.to_dict()))['at'] == list(known.at)


@pytest.mark.slow
def test_the_packaged_law_is_what_its_command_fits():
  folders = study.recorded()
  again, known = fit.law(study.read_all(folders), folders), laws.read()
  assert again.at == pytest.approx(known.at, rel=1e-6)
  assert again.form == known.form and again.errors.keys() == known.errors.keys()
  # Of sums, whose last digits depend on the machine.
  for left_out, said in known.errors.items():
    for key, value in again.errors[left_out].items():
      near = value if key == 'of' else pytest.approx(value, rel=1e-6)
      assert said[key] == near
  assert known.gap.source == again.gap.source
  for key in ('shift', 'less', 'more'):
    value = getattr(again.gap, key)
    near = value and pytest.approx(value, rel=1e-6)
    assert getattr(known.gap, key) == near
