"""Absurd values of a config: one line within a second, nothing computed."""

import dataclasses
import json
import math
import sys
import time
import typing

import hypothesis
import pytest
from hypothesis import strategies as st

from extrapolation import config
from extrapolation.config import sizes
from extrapolation.output import signed

NESTED: list = []
for _ in range(100_000):
  NESTED = [NESTED]
DEFAULT = config.Experiment().to_dict()


def integers() -> list[str]:
  """Every key of a config that is an integer, or a list of them."""
  found = ['seed']
  for section in DEFAULT:
    if isinstance(DEFAULT[section], dict):
      cls = typing.get_type_hints(config.Experiment)[section]
      found += [
        f'{section}.{f.name}'
        for f in dataclasses.fields(cls)
        if f.type in (int, 'int', tuple[int, ...])
      ]
  return found


def changed(key: str, value: object) -> dict:
  values = json.loads(json.dumps(DEFAULT))
  *parents, leaf = key.split('.')
  node = values
  for part in parents:
    node = node[part]
  node[leaf] = value
  return values


def refused(call, *args) -> str:
  start = time.monotonic()
  with pytest.raises(ValueError) as e:
    call(*args)
  assert time.monotonic() - start < 1
  assert type(e.value) in (ValueError, signed.Damaged) or isinstance(
    e.value, json.JSONDecodeError
  )
  text = str(e.value)
  assert text and '\n' not in text and len(text) < 700, text[:900]
  return text


def test_every_integer_of_a_config_has_a_limit():
  assert set(integers()) == set(sizes.MOST) and len(integers()) > 20


@pytest.mark.parametrize('key', integers())
@pytest.mark.parametrize(
  'value',
  [
    *(10**18, 10**400, 10**5000, -(10**18), -(10**5000)),
    *(1e18, 3.0, math.nan, math.inf, True, '9', None, {}, NESTED),
  ],
  ids=lambda v: type(v).__name__ + (str(v)[:6] if type(v) is float else ''),
)
def test_absurd_integers_are_named(key, value):
  if key in ('eval.lengths', 'sweep.seeds'):
    refused(config.from_dict, changed(key, [16, value]))
  text = refused(config.from_dict, changed(key, value))
  assert key in text


@pytest.mark.parametrize(
  'key, value',
  [
    ('model.N', '1000000000'),
    ('model.D', '1000000000'),
    ('model.H', '10000000'),
    ('train.T', '1000000000000'),
    ('train.T', '9' * 5000),
    ('train.T', '9' * 100_000),
    ('train.T', '1e999'),
    ('train.T', '9**9**9'),
    ('train.T', '(' * 100_000),
    ('train.T', '-' * 19_000 + '1'),
    ('train.T', '[' * 100_000 + ']' * 100_000),
    ('optim.lr', '1' + '0' * 400),
    ('optim.lr', 'nan'),
    ('eval.lengths', '8,1000000000000'),
    ('eval.lengths', '8,True'),
    ('eval.lengths', '(' * 10_000),
    ('eval.lengths', '8,' * 6000),
    ('eval.lengths', '[[8]]'),
    ('sweep.seeds', '1.5,'),
    ('sweep.seeds', '-1,'),
    ('eval.window', '9' * 5000),
    ('eval.window', 'certified:' + '9' * 5000),
    ('eval.protocol', 'last:' + '9' * 5000),
    ('model.rpe', 'a' * 100_000),
    ('x' * 100_000, '1'),
    ('model.' + 'x.' * 50_000, '1'),
  ],
  ids=lambda v: v[:24],
)
def test_absurd_overrides_are_refused(key, value):
  refused(config.override, config.base(), {key: value})


@pytest.mark.parametrize(
  'values',
  [
    {'model.N': '4096', 'model.D': '131072', 'model.H': '1'},
    {'model.F': '1048576', 'model.D': '131072', 'model.N': '100'},
    {'train.B': '16777216', 'train.T': '67108864'},
  ],
)
def test_what_only_together_is_absurd_is_refused(values):
  refused(config.override, config.base(), values)


@pytest.mark.parametrize(
  'name, args',
  [
    ('window', dict(width=10**12)),
    ('window', dict(width='8')),
    ('window', dict(width=True)),
    ('window', dict(width=NESTED)),
    ('window', dict(H=3)),
    ('window', dict(name='alibi')),
    ('window', {3: 4}),
    ('power', dict(exponent=math.nan)),
    ('power', dict(exponent=10**400)),
    ('power', dict(exponent=None)),
    ('t5', dict(buckets=10**9, max_distance=10**10)),
    ('t5', dict(buckets=1 << 22, max_distance=1 << 23)),
    ('sandwich', dict(dbar=1 << 22)),
  ],
)
def test_absurd_hyperparameters_are_refused(name, args):
  values = changed('model.rpe', name)
  refused(
    config.from_dict, changed('model', values['model'] | dict(rpe_args=args))
  )


@pytest.mark.parametrize(
  'text',
  [
    '[' * 100_000,
    '{"model":' * 100_000,
    '{"model": {"rpe_args": ' + '[' * 100_000,
    '{"seed": ' + '9' * 5000 + '}',
    '{"seed": 1, "seed": 2}',
    '{"optim": {"lr": NaN}}',
    '{"optim": {"lr": 1e999}}',
    '{"optim": {"lr": -Infinity}}',
    '{"modle": {}}',
    '{"model": {"Nn": 3}}',
    '{"model": []}',
    '{"model": null}',
    '[]', '"a"', '3', 'null', '', '{', '\0', '{"\\ud800": 1}',
  ],
  ids=lambda v: v[:24],
)  # fmt: skip
def test_a_text_that_is_no_config_is_one_line(text):
  refused(read, text)


def read(text):
  return config.from_dict(signed.parse(text, 'config.json'))


def test_a_config_is_its_text():
  e = config.override(config.base(), {'model.rpe': 'window', 'seed': '3'})
  assert read(json.dumps(e.to_dict())) == e


KEYS = [
  *(k for k in DEFAULT),
  *(f'{s}.{k}' for s, v in DEFAULT.items() if isinstance(v, dict) for k in v),
]
VALUES = st.recursive(
  st.none()
  | st.booleans()
  | st.integers()
  | st.floats()
  | st.text()
  | st.sampled_from([10**400, 1e308, 2**31, 'certified:nan', 'last:0', 't5']),
  lambda x: st.lists(x, max_size=3)
  | st.dictionaries(
    st.sampled_from(['H', 'name', 'width', 'T', 'N', 'lr']) | st.text(), x,
    max_size=3,
  ),
  max_leaves=6,
)  # fmt: skip


@hypothesis.settings(max_examples=400, deadline=None, derandomize=True)
@hypothesis.given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3))
def test_whatever_a_config_holds_it_is_sound_or_one_line(changes):
  values = json.loads(json.dumps(DEFAULT))
  for key, value in changes.items():
    section, _, leaf = key.partition('.')
    if not leaf:
      values[section] = value
    elif isinstance(values[section], dict):
      values[section][leaf] = value
  limit = sys.getrecursionlimit()
  try:
    e = config.from_dict(values)
  except ValueError as error:
    text = str(error)
    assert text and '\n' not in text and len(text) < 700
  else:
    assert config.from_dict(e.to_dict()) == e and hash(e) == hash(e)
  assert sys.getrecursionlimit() == limit
