"""A real run of two processes, with strangers at every port all the time."""

import itertools
import socket
import subprocess
import threading
import time

import pytest

from extrapolation.parallel import peers
from tests import group
from tests.attack.test_network_strangers import JUNK


def knock(ports: list[int], over: threading.Event, knocks: list[int]) -> None:
  """Connects to each port again and again; most strangers stay for a while."""
  guests: list[socket.socket] = []
  port_of = itertools.cycle(ports)
  for junk in itertools.cycle(JUNK.values()):
    if over.is_set():
      break
    try:
      port = next(port_of)
      guest = socket.create_connection(('localhost', port), timeout=0.2)
      knocks.append(port)
      guests.append(guest)
      guest.sendall(junk[:100_000])
    except OSError:
      pass
    if len(guests) > 50:
      guests.pop(0).close()
    time.sleep(0.005)
  for guest in guests:
    guest.close()


@pytest.mark.slow
def test_strangers_at_every_port_change_nothing(tmp_path, monkeypatch):
  monkeypatch.setenv('EXTRAPOLATION_SECRET', 'a secret of this test alone')
  runs = group.Runs(tmp_path, steps=12)
  port = peers.free_port(35_000)
  over, knocks = threading.Event(), []
  ports = [port, port + 1]  # ours, and that of JAX
  stranger = threading.Thread(target=knock, args=(ports, over, knocks))
  stranger.start()
  flags = [f'--coordinator=localhost:{port}', '--num_processes=2']
  children = [
    subprocess.Popen(
      runs.command('run', *flags, f'--process_id={i}', '--join_timeout=60'),
      env=runs.env | dict(JAX_NUM_CPU_DEVICES='2'),
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    for i in (0, 1)
  ]  # fmt: skip
  try:
    said = [child.communicate(timeout=200)[0] for child in children]
  finally:
    over.set()
    stranger.join()
    for child in children:
      child.kill()
  assert [child.returncode for child in children] == [0, 0], said
  assert group.steps(runs, 'run') == [*range(1, 13)]
  assert {*knocks} == {*ports}
