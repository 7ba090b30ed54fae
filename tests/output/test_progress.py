"""Lines where there is no terminal: how far, how fast, how long yet."""

import re

from extrapolation.output import progress


def test_lines_say_how_far_how_fast_and_when(capsys, monkeypatch):
  now = iter([100.0, 102.0, 110.0, 120.0])
  monkeypatch.setattr(progress.time, 'monotonic', lambda: next(now))
  loop = progress.Loop('run', 40, done=20, tokens=50)
  loop.update(22, 'loss 3.0')  # too soon for a line
  loop.update(30, 'loss 2.0')
  loop.update(40)
  loop.close()
  lines = capsys.readouterr().err.splitlines()
  assert lines == [
    'run: 30/40  loss 2.0  50 tokens/s  0:10 left',
    'run: 40/40  50 tokens/s  20.0 s',
  ]


def test_one_that_is_not_shown_says_nothing(capsys):
  loop = progress.Loop('run', 1, shown=False)
  loop.update(1)
  assert capsys.readouterr().err == ''


def test_a_terminal_has_a_bar_with_what_is_left(capsys, monkeypatch):
  monkeypatch.setenv('FORCE_COLOR', '1')
  monkeypatch.setenv('COLUMNS', '120')
  loop = progress.Loop('[bold]run', 4, tokens=10)
  loop.update(2, 'loss 2.0')
  loop.bar.refresh()
  loop.close()
  shown = re.sub(r'\x1b\[[\d;?]*[A-Za-z]', '', capsys.readouterr().err)
  assert '[bold]run' in shown and '2/4' in shown and 'loss 2.0' in shown
  assert 'tokens/s' in shown
