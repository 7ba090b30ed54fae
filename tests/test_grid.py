"""Sweeps over any key: in names, tables, figures and the report."""

import pytest

from extrapolation import config, report, sweep
from extrapolation.output import table
from extrapolation.runs import left_out, sweep_grid


def gridded(tiny, grid, **more):
  changes = {'sweep.rpe': 'kerple_log,none', 'sweep.grid': grid}
  return config.override(tiny, changes | more)


def test_every_combination_is_a_run(tiny):
  e = gridded(
    tiny, 'train.T=16,32; optim.lr=1e-3,3e-3', **{'sweep.seeds': '0,1'}
  )
  found = dict(sweep_grid.experiments(e))
  assert len(found) == 2 * 2 * 2 * 2
  one = found['none-T=32-lr=3e-3-s1']
  assert (one.train.T, one.optim.lr, one.seed) == (32, 3e-3, 1)
  assert one.model.rpe == 'none'
  assert sweep_grid.label(one) == 'none T=32 lr=0.003'
  assert list(found)[:2] == [
    'kerple_log-T=16-lr=1e-3-s0', 'none-T=16-lr=1e-3-s0',
  ]  # fmt: skip


def test_without_a_grid_names_are_what_they_were(tiny):
  e = gridded(tiny, '')
  found = dict(sweep_grid.experiments(e))
  assert [*found] == ['kerple_log-s0', 'none-s0']
  assert [sweep_grid.label(x) for x in found.values()] == ['kerple_log', 'none']


def test_all_are_those_that_a_space_can_have(tiny, caplog):
  e = config.override(
    tiny,
    {
      'model.kind': 'encoder',
      'model.geometry': 'grid:2',
      'model.rpe': 'none',
      'train.size': '4x4',
      'data.source': 'ising:',
      'eval.sizes': '4x4,8x8',
      'sweep.rpe': 'all',
    },
  )
  left_out._unfit.cache_clear()
  with caplog.at_level('INFO', 'extrapolation'):
    names = {x.model.rpe for _, x in sweep_grid.experiments(e)}
  no = {'cope', 'sinusoidal', 'xpos'}
  assert names >= {'alibi', 'rotary', 't5', 'type1'} and not names & no
  for name in no:
    assert f'left out: model.rpe = {name}' in caplog.text
  assert not left_out.unfit(tiny)


@pytest.mark.parametrize(
  'grid, says',
  [
    ('train.T', "'train.T' is not KEY=VALUE,VALUE"),
    ('train.T=', "'train.T=' is not KEY"),
    ('train.T=8,,9', 'is not KEY'),
    ('train.T=8;train.T=9', 'train.T twice'),
    ('train.T=8,8', 'train.T twice'),
    ('seed=1,2', 'has a key of its own: sweep.rpe, sweep.seeds'),
    ('train.TT=8', "no config key 'train.TT'"),
    ('train.T=x', 'train.T'),
  ],
)
def test_mistakes_are_named_before_a_run_is_begun(tiny, tmp_path, grid, says):
  with pytest.raises(ValueError, match=says):
    sweep.sweep(gridded(tiny, grid), str(tmp_path / 'sweep'))
  assert not (tmp_path / 'sweep').exists()


def test_a_grid_is_told_apart_in_table_and_report(tiny, tmp_path, capsys):
  e = gridded(tiny, 'train.T=8,16', **{'sweep.rpe': 'none'})
  folder = tmp_path / 'sweep'
  sweep.sweep(e, str(folder))
  rows = table.read(folder / 'sweep.csv')
  assert {(r['rpe'], r['train_length']) for r in rows} == {
    ('none T=8', 8), ('none T=16', 16),
  }  # fmt: skip
  said = capsys.readouterr().out
  assert 'none T=16' in said
  report.write(str(folder))
  assert 'none T=8' in (folder / 'report.html').read_text()
