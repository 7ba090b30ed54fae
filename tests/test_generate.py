"""Generation: a seed is a text, and every mistake is named."""

import functools
import logging

import pytest

from extrapolation import config, evaluate, generate, train
from extrapolation.data.tokenizers import tokenizer


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  from tests import conftest

  path = tmp_path_factory.mktemp('run')
  train.train(conftest.tiny_config(path), f'{path}/run')
  return f'{path}/run'


def write(trained, **kw):
  text = []
  made = generate.generate(trained, 'ab', tokens=30, write=text.append, **kw)
  return made, ''.join(text)


def test_a_seed_gives_a_text_and_another_another(trained):
  a, text = write(trained, seed=1)
  assert len(a) == 30 and text.startswith('ab')
  assert write(trained, seed=1)[0] == a
  assert write(trained, seed=2)[0] != a


def said(caplog, f, *args, **kw):
  logger = logging.getLogger('extrapolation')
  logger.addHandler(caplog.handler)  # which a command does not pass on to
  with caplog.at_level(logging.INFO, 'extrapolation'):
    f(*args, **kw)
  logger.removeHandler(caplog.handler)
  return caplog.text


def test_a_certified_window_says_what_it_rests_on(trained, caplog):
  text = said(caplog, write, trained, window='certified:0.5')
  assert 'at up to 33 tokens an error of 0.5 is certified' in text


@pytest.mark.parametrize(
  'kw, message',
  [
    (dict(window='wide'), "window 'wide': needs full, a number"),
    (dict(window='0'), "window '0': needs full"),
    (dict(window='²'), "window '²': needs full"),
    (dict(temperature=1e-39), '--temperature=1e-39: needs 0'),
    (dict(seed=2**64), '--seed=18446744073709551616: needs'),
    (dict(window='certified:2'), 'certified:ERROR with 0 < ERROR < 1'),
    (dict(temperature=-1.0), '--temperature=-1.0'),
    (dict(top_p=0.0), '--top_p=0.0'),
    (dict(top_k=-1), '--top_k=-1'),
  ],
)
def test_mistakes_are_named(trained, kw, message):
  with pytest.raises(ValueError, match=message):
    write(trained, **kw)


def test_text_is_written_in_whole_characters():
  made = []
  printer = generate.Printer(tokenizer.byte_level(), made.append)
  for token in 'añ€😀b'.encode():
    printer(token)
  assert made == list('añ€😀b')


@pytest.mark.parametrize(
  'text', [b'\xff' * 40, '\ufffd\ufffd😀x'.encode(), 'a€'.encode()[:3], b'']
)
def test_what_is_no_character_is_written_in_the_end(text):
  made = []
  printer = generate.Printer(tokenizer.byte_level(), made.append)
  for token in text:
    printer(token)
    assert len(printer.waiting) < 16
  printer.close()
  assert ''.join(made) == text.decode(errors='replace')


def test_the_bound_of_the_text_at_hand_is_printed(trained, caplog):
  text = said(caplog, write, trained, window='certified:0.9')
  assert 'moved no output of an attention in this text by more than' in text


@pytest.mark.slow
def test_gates_of_the_content_have_certified_windows(tmp_path, caplog):
  """By every command, as differences of their clock."""
  from tests import conftest

  changes = {'model.rpe': 'linear@forget', 'train.steps': '2', 'model.N': '1'}
  e = config.override(conftest.tiny_config(tmp_path), changes)
  run = f'{tmp_path}/run'
  train.train(e, run)
  text = said(caplog, write, run, window='certified:0.5')
  assert 'by windows of clock<=' in text and '(p_i - p_j of the clock)' in text
  assert 'moved no output of an attention in this text by more than' in text
  caplog.clear()
  score = functools.partial(evaluate.evaluate, run, lengths=(64,), tokens=64)
  rows = []
  text = said(caplog, lambda: rows.extend(score(window='certified:0.9')))
  assert 'keys of a query in the mean, of 32.5' in text
  assert rows[0]['window'].startswith('clock<=')
  assert 0 < rows[0]['window_error'] <= 1
  (full,) = score()
  assert full['window'] == 'full'
  assert abs(full['ppl'] / rows[0]['ppl'] - 1) < 0.1


def test_a_promise_that_this_text_breaks_is_reported(caplog):
  assert 'held-out' not in said(caplog, generate._report, 0.1, 0.2)
  text = said(caplog, generate._report, 0.4, 0.2)
  assert 'more than the 0.2' in text and '--window=certified:0.1' in text
