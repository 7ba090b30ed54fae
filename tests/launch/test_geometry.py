"""The command that runs the experiments of configs/geometry."""

import pathlib

import pytest

from extrapolation import config, train
from extrapolation.runs import sweep_grid
from launch import geometry

SPECS = [
  spec for spec, _ in geometry.sweeps(list(geometry.ARMS), pathlib.Path())
]


@pytest.mark.parametrize('spec', SPECS, ids=lambda x: pathlib.Path(x).name)
def test_an_arm_is_a_sweep_of_three_seeds(spec):
  e = config.load(spec, {})
  runs = [one for _, one in sweep_grid.experiments(e)]
  assert {one.seed for one in runs} == {0, 1, 2}
  assert e.eval.sizes[0] == e.train.size and len(e.eval.sizes) >= 4
  assert sorted(e.eval.lengths) == list(e.eval.lengths)


def test_both_shapes_of_the_grid_have_as_many_cells():
  strip, square = (
    config.load(f'{geometry.CONFIGS}/grid.py:{arm}', {})
    for arm in ('strip', 'square')
  )
  assert strip.eval.lengths == square.eval.lengths
  assert strip.model == square.model and strip.optim == square.optim


@pytest.mark.parametrize('spec', ['grid.py:ring', 'tree.py:root-9',
                                  'copy.py:sort', 'vit.py:big'])  # fmt: skip
def test_an_arm_that_there_is_not_is_named(spec):
  with pytest.raises(ValueError, match='there are|write root-R'):
    config.load(f'{geometry.CONFIGS}/{spec}', {})


def test_a_graph_of_ones_own_is_trained_on_a_part(tmp_path):
  file = tmp_path / 'ring.edges'
  file.write_text('\n'.join(f'{i} {(i + 1) % 96}' for i in range(96)))
  e = config.load(f'{geometry.CONFIGS}/graph.py:{file}', {})
  assert e.eval.sizes == ('6', '24', '96') and e.train.size == '6'
  train.check(e)
  with pytest.raises(ValueError, match='give the file of a graph'):
    config.load(f'{geometry.CONFIGS}/graph.py', {})


def test_the_plan_is_printed_and_nothing_run(tmp_path, capsys):
  words = [f'--workdir={tmp_path}/runs', '--only=copy,vit', '--dry_run']
  geometry.main(words)
  assert capsys.readouterr().out.splitlines() == [
    'copy-copy: 0 of 9 runs finished',
    'copy-reverse: 0 of 9 runs finished',
    'vit-bias: 0 of 12 runs finished',
    'vit-table: 0 of 3 runs finished',
  ]
  assert not (tmp_path / 'runs').exists()
  with pytest.raises(ValueError, match='--only=bus: no such experiment'):
    geometry.main([f'--workdir={tmp_path}', '--only=bus'])


def test_arms_side_by_side_are_one_table_and_a_figure(tmp_path, monkeypatch):
  def rows_of(folder):
    if not folder.name.startswith('grid'):
      return []
    return [
      dict(rpe=name, seed=0, size=size, length=n, train_length=512,
           excess=0.01 * n / 512, nll=1.0, accuracy=0.5)
      for name in ('alibi', 'type1')
      for size, n in (('16x32', 512), ('96x96', 9216))
    ]  # fmt: skip

  monkeypatch.setattr(geometry, 'rows_of', rows_of)
  wrote = geometry.gather(tmp_path)
  assert [path.name for path in wrote] == ['grid-all.png', 'geometry.csv']
  text = (tmp_path / 'geometry.csv').read_text()
  assert text.count('strip') == text.count('square') == 4
