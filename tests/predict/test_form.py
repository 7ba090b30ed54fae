"""Every form of the law: exactly 0 at zero far mass, and never falling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extrapolation.predict.form import FORMS

positive = st.floats(1e-3, 20.0)
share = st.floats(0.0, 0.999)


@pytest.mark.parametrize('name', FORMS)
@given(at=st.tuples(positive, positive, positive), ends=st.tuples(share, share))
def test_it_is_zero_at_zero_and_rises(name, at, ends):
  form = FORMS[name]
  own = at[: len(form.names)]
  assert float(form(0.0, own)) == 0.0
  low, high = form(np.sort(ends), own)
  # Two quotients that are equal but for rounding may differ in the last digit.
  assert 0 <= low <= np.nextafter(high, np.inf) < np.inf


@pytest.mark.parametrize('name', FORMS)
def test_there_are_few_numbers_and_each_has_a_meaning(name):
  form = FORMS[name]
  assert len(form.start) == len(form.names) <= 3
  assert all(f'{letter}: ' in form.meaning for letter in form.names)


def test_forms_by_hand():
  assert float(FORMS['a F'](0.5, (0.2,))) == pytest.approx(0.1)
  assert float(FORMS['a F^b'](0.5, (0.2, 2.0))) == pytest.approx(0.05)
  # -ln(1 - 1/2) = ln 2
  log = FORMS['a (-ln(1-F))^b']
  assert float(log(0.5, (0.2, 2.0))) == pytest.approx(0.2 * np.log(2) ** 2)
  half = FORMS['a F^b / (F^b + c^b)']
  assert float(half(0.4, (0.2, 3.0, 0.4))) == pytest.approx(0.1)
