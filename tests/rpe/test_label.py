"""Labels name an encoding with what is not default, and are read again."""

import pytest

from extrapolation import config, rpe


@pytest.mark.parametrize(
  'name, changed, label',
  [
    ('window', {}, 'window'),
    ('window', {'width': '9'}, 'window:width=9'),
    (
      't5',
      {'buckets': '16', 'max_distance': '64'},
      't5:buckets=16:max_distance=64',
    ),
  ],
)
def test_labels_name_what_is_not_default(name, changed, label):
  overrides = {f'model.rpe_args.{k}': v for k, v in changed.items()}
  c = config.override(config.base(), {'model.rpe': name, **overrides}).model
  assert rpe.label(c.rpe, c.rpe_args) == label
  assert rpe.parse(label) == (name, changed)
