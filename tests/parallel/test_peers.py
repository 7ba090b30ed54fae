"""Processes that meet and agree before JAX knows of them."""

import random
import socket
import threading
import time

import pytest

from extrapolation import config
from extrapolation.parallel import peers


def difference(a, b):
  return '; '.join(config.differences(a, b))


def meet(port, abouts, n=None, timeout=10.0, ids=None):
  """What becomes of processes 0.. that say `abouts`: an address or an error."""
  n = n or len(abouts)
  outcomes = {}

  def one(i, about):
    line = peers.Lifeline(f'localhost:{port}', n, i)
    try:
      if i == 0:
        line.gather(about, difference, 'there:1', timeout)
        outcomes[i] = 'there:1'
      else:
        outcomes[i] = line.join(about, timeout)
    except (OSError, ValueError) as e:
      outcomes[i] = e

  threads = [
    threading.Thread(target=one, args=(i, about))
    for i, about in zip(ids or range(n), abouts, strict=False)
  ]
  for t in threads:
    t.start()
  for t in threads:
    t.join()
  return outcomes


@pytest.fixture
def port():
  return peers.free_port(random.randrange(10_000, 30_000))


def test_all_get_the_address_when_all_are_there(port):
  assert meet(port, [{'a': 1}] * 3) == dict.fromkeys(range(3), 'there:1')


def test_who_is_missing_is_named_to_those_who_came(port):
  outcomes = meet(port, [{}, {}], n=4, timeout=1.0)
  for i in (0, 1):
    assert isinstance(outcomes[i], peers.LostError)
    assert '2 of 4 processes came within 1 s' in str(outcomes[i])
    assert 'missing: process 2, 3' in str(outcomes[i])


def test_process_0_missing_is_named(port):
  outcomes = meet(port, [{}], n=2, timeout=1.0, ids=[1])
  assert isinstance(outcomes[1], peers.LostError)
  assert 'missing: process 0' in str(outcomes[1])


def test_another_config_is_refused_in_all_and_named(port):
  ours, theirs = {'config': {'B': 4}}, {'config': {'B': 8}}
  outcomes = meet(port, [ours, ours, theirs])
  for i in (0, 2):
    assert isinstance(outcomes[i], ValueError)
    assert 'process 2 differs from process 0' in str(outcomes[i])
    assert 'config.B: 4 -> 8' in str(outcomes[i])


def test_two_with_one_number_are_refused(port):
  outcomes = meet(port, [{}, {}, {}], n=3, ids=[0, 1, 1])
  assert 'two processes say --process_id=1' in str(outcomes[0])


def test_strangers_at_the_door_do_no_harm(port):
  def knock():
    time.sleep(0.2)
    for data in (b'GET / HTTP/1.0\r\n\n', b'', b'{}\n', b'[1]\n'):
      with socket.create_connection(('localhost', port)) as s:
        s.sendall(data)

  knocker = threading.Thread(target=knock)
  knocker.start()
  done = {}
  late = threading.Thread(
    target=lambda: done.update(meet(port, [{}], n=2, ids=[0]))
  )
  late.start()
  knocker.join()
  assert meet(port, [{}], n=2, ids=[1]) == {1: 'there:1'}
  late.join()
  assert done == {0: 'there:1'}


def test_a_port_in_use_is_named(port):
  with socket.create_server(('', port)):
    outcomes = meet(port, [{}], n=2, ids=[0])
  assert f'port {port} cannot be used' in str(outcomes[0])
  assert not isinstance(outcomes[0], peers.LostError)
