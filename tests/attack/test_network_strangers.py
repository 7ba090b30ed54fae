"""Strangers at the port of a group that gathers: dropped, never fatal."""

import json
import random
import socket
import threading
import time

import pytest

from extrapolation import config
from extrapolation.parallel import peers

SECRET = 'a secret of the tests'
NESTED = b'[' * 200_000
HELLO = dict(process=1, about=dict(config=dict(B=4)))
JUNK = {
  'nothing': b'',
  'newline': b'\n',
  'no JSON': b'{"process": \n',
  'a list': b'[1]\n',
  'a number': b'1e999\n',
  'no UTF-8': b'\xff\xfe\x00\n',
  'zeros': bytes(100_000),
  'HTTP': b'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'TLS': bytes.fromhex('16030100c8010000c40303') + bytes(200),
  'SSH': b'SSH-2.0-OpenSSH_9.6\r\n',
  'nested': NESTED + b'\n',
  'nested about': b'{"process": 1, "about": ' + NESTED + b'\n',
  'a giant line': b'9' * (8 << 20),
  'our greeting': b'extrapolation 1 %b\n%b {}\n' % (b'0' * 64, b'0' * 64),
  'a short greeting': b'extrapolation 1 00\n{}\n',
} | {
  f'hello of {process!r}': json.dumps(HELLO | dict(process=process)).encode()
  + b'\n'
  for process in (0, 1, -1, 2, 99, '1', None, [1], {}, 1.5, True, 10**30)
}  # fmt: skip


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
  monkeypatch.setenv('EXTRAPOLATION_SECRET', SECRET)


@pytest.fixture
def port():
  # Below those that the system gives out, and not that of another worker.
  return peers.free_port(random.SystemRandom().randrange(10_000, 30_000))


def difference(a, b):
  return '; '.join(config.differences(a, b))


class Process0(threading.Thread):
  """Gathers a group of two, and notes what comes of it."""

  def __init__(self, port, timeout=20.0, host='localhost'):
    super().__init__(daemon=True)
    self.port, self.timeout, self.outcome = port, timeout, None
    self.host = host.strip('[]')
    self.line = peers.Lifeline(f'{host}:{port}', 2, 0)
    self.start()
    for _ in range(200):
      try:
        self.knock().close()
        return
      except OSError:
        time.sleep(0.02)

  def run(self):
    try:
      about = dict(config=dict(B=4))
      self.line.gather(about, difference, 'there:1', self.timeout)
      self.outcome = 'complete'
    except BaseException as e:
      self.outcome = e

  def knock(self) -> socket.socket:
    return socket.create_connection((self.host, self.port), timeout=5)

  def joined(self, host='localhost', timeout=20.0) -> float:
    """Seconds that a process of the group needs to get in."""
    start = time.monotonic()
    line = peers.Lifeline(f'{host}:{self.port}', 2, 1)
    assert line.join(dict(config=dict(B=4)), timeout) == 'there:1'
    self.join(10)
    assert self.outcome == 'complete'
    return time.monotonic() - start


@pytest.mark.parametrize('junk', JUNK.values(), ids=JUNK)
def test_whatever_a_stranger_sends_the_group_comes_together(port, junk):
  zero = Process0(port)
  with zero.knock() as stranger:
    try:
      stranger.sendall(junk)
      stranger.shutdown(socket.SHUT_WR)
    except OSError:
      pass  # dropped before it had said everything
    time.sleep(0.1)
    assert zero.outcome is None
    assert zero.joined() < 3


def test_silent_strangers_hold_up_nobody(port):
  zero = Process0(port)
  silent = [zero.knock() for _ in range(5)]
  assert zero.joined() < 3
  for sock in silent:
    sock.close()


def test_a_crowd_holds_up_nobody(port):
  zero = Process0(port)
  crowd = [zero.knock() for _ in range(400)]
  assert zero.joined() < 5
  for sock in crowd:
    sock.close()


def test_a_slow_sender_has_one_deadline_and_not_one_a_byte(port, monkeypatch):
  from extrapolation.parallel import door

  monkeypatch.setattr(door, 'HANDSHAKE', 0.5)
  zero = Process0(port)
  with zero.knock() as slow:
    start = time.monotonic()
    with pytest.raises(OSError):
      while time.monotonic() - start < 5:
        slow.sendall(b'e')
        time.sleep(0.05)
    assert time.monotonic() - start < 2
  zero.joined()


def test_two_groups_at_one_port_do_not_mix(port, monkeypatch):
  zero = Process0(port, timeout=2.0)
  monkeypatch.setenv('EXTRAPOLATION_SECRET', 'that of another group')
  other = peers.Lifeline(f'localhost:{port}', 2, 1)
  with pytest.raises(peers.LostError, match='another EXTRAPOLATION_SECRET'):
    other.join(dict(config=dict(B=8)), 2.0)
  zero.join(10)
  assert isinstance(zero.outcome, peers.LostError)
  assert 'missing: process 1' in str(zero.outcome)
  assert 'another secret, or another group' in str(zero.outcome)


def test_a_process_with_another_config_is_told_to_both(port):
  zero = Process0(port)
  other = peers.Lifeline(f'localhost:{port}', 2, 1)
  with pytest.raises(ValueError, match='config.B: 4 -> 8'):
    other.join(dict(config=dict(B=8)), 10)
  zero.join(10)
  assert 'config.B: 4 -> 8' in str(zero.outcome)


def test_a_number_beyond_the_group_is_told_to_both(port):
  zero = Process0(port)
  other = peers.Lifeline(f'localhost:{port}', 2, 7)
  with pytest.raises(ValueError, match='--process_id=7 of --num_processes=2'):
    other.join(dict(config=dict(B=4)), 10)
  zero.join(10)
  assert '--process_id=7 of --num_processes=2' in str(zero.outcome)


def test_ipv6(port):
  if not socket.has_ipv6:
    pytest.skip('no IPv6 here')
  zero = Process0(port, host='[::1]')
  assert zero.joined(host='[::1]') < 3
