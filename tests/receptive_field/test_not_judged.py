"""Theory's fields of a model whose order enters beside the weights."""

import pytest

from extrapolation.receptive_field import Settings, predicted
from extrapolation.theory import NotJudged
from tests.receptive_field import small


@pytest.mark.parametrize('name', ['rotary', 'sinusoidal'])
def test_there_are_none(name):
  m, params = small.make(name)
  with pytest.raises(NotJudged, match=f'{name} is not judged: order enters'):
    predicted.heads(m, params, Settings(length=32), 16)


def test_there_are_none_of_a_score():
  m, params = small.make('fire')
  with pytest.raises(NotJudged, match='no function of i - j .*or a score'):
    predicted.heads(m, params, Settings(length=32), 16)
