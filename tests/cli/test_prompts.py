"""A prompt from a file or from standard input, as it is."""

import io
import sys

import pytest

from extrapolation import cli, generate
from extrapolation.output import exit_codes

TEXT = 'één\r\n<b>\n'


@pytest.fixture
def said(monkeypatch):
  """The prompts that the command generates from."""
  prompts = []
  monkeypatch.setattr(
    generate, 'generate', lambda prompt, **kw: prompts.append(prompt)
  )
  return prompts


def ask(prompt: str) -> None:
  cli.run(generate.main, ['--workdir=run', f'--prompt={prompt}'])


def test_a_file(said, tmp_path, monkeypatch):
  (tmp_path / 'a b.txt').write_bytes(TEXT.encode())
  monkeypatch.setenv('HOME', str(tmp_path))
  ask(f'@{tmp_path}/a b.txt')
  ask('@~/a b.txt')
  assert said == [TEXT] * 2


def test_standard_input(said, monkeypatch):
  stream = io.TextIOWrapper(io.BytesIO(TEXT.encode()), encoding='ascii')
  monkeypatch.setattr(sys, 'stdin', stream)
  ask('-')
  assert said == [TEXT]


def test_text_is_itself(said):
  for text in ('ab', '@@a', 'a@b', ''):
    ask(text)
  assert said == ['ab', '@a', 'a@b', '']


@pytest.mark.parametrize('given', ['@', '@/no/such', '@bad', 'a\udcff'])
def test_what_cannot_be_read_is_one_line(said, given, tmp_path, capsys):
  (tmp_path / 'bad').write_bytes(b'ab\xff')
  with pytest.raises(SystemExit) as stopped:
    ask(given.replace('bad', f'{tmp_path}/bad'))
  assert stopped.value.code == exit_codes.USAGE and not said
  lines = capsys.readouterr().err.splitlines()
  assert len(lines) == 2 and lines[0].startswith('error: ')
  if given == '@bad':
    assert 'byte 0xff at 2; convert it' in lines[0]
