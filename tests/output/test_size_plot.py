"""Figures of models on places, read back from what was drawn."""

import re

import numpy as np
import pytest

from extrapolation.output import size_plot


def rows(*names, optimum=True, train=64):
  return [
    dict(rpe=name, seed=seed, size=size, length=n, train_length=train, nll=1.0,
         accuracy=0.5, excess=0.01 * i if optimum else float('nan'))
    for i, name in enumerate(names)
    for seed in (0, 1)
    for size, n in (('8x8', 64), ('16x16', 256))
  ]  # fmt: skip


def texts(path):
  """What is written in a figure, in order."""
  svg = path.read_text()
  return re.findall(r'<!-- (.*?) -->', svg)


def test_encodings_of_every_panel_are_named_once(tmp_path):
  path = tmp_path / 'a.svg'
  panels = {'bias': rows('alibi', 'rotary'), 'table': rows('none', 'alibi')}
  size_plot.sizes(path, panels)
  said = texts(path)
  for name in ('alibi', 'rotary', 'none', 'bias', 'table'):
    assert said.count(name) == 1
  assert said.count('16x16') == 2
  assert 'excess over the exact optimum (nats)' in said


def test_a_loss_is_drawn_where_no_optimum_is_known(tmp_path):
  path = tmp_path / 'a.svg'
  size_plot.sizes(path, {'digits': rows('alibi', optimum=False)})
  assert 'loss (nats)' in texts(path)


@pytest.mark.parametrize('shape', [(4, 6), (24,)])
def test_a_map_has_a_panel_per_size(tmp_path, shape):
  path = tmp_path / 'a.svg'
  means = {name: np.linspace(-1, 1, 24) for name in ('4x6', '8x8')}
  means['8x8'][3] = np.nan
  size_plot.places(path, means, shape, 'excess')
  assert {'in 4x6', 'in 8x8', 'excess'} <= set(texts(path))


def test_masses_are_a_panel_per_layer(tmp_path):
  path = tmp_path / 'a.svg'
  mass = np.full((3, 2, 5), 0.2)
  size_plot.masses(path, mass, mass)
  assert {'layer 1', 'layer 3', 'of the bias alone'} <= set(texts(path))
