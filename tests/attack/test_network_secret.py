"""The secret of a group: needed, never sent, of no use to who listens."""

import os
import random
import socket
import threading
import time

import pytest

from extrapolation.parallel import channel, door, peers, secret
from tests.attack.test_network_strangers import SECRET, Process0


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
  monkeypatch.setenv('EXTRAPOLATION_SECRET', SECRET)


@pytest.fixture
def port():
  # Below those that the system gives out, and not that of another worker.
  return peers.free_port(random.SystemRandom().randrange(10_000, 30_000))


class Tap:
  """A port that passes everything on to another one, and writes it down."""

  def __init__(self, to: int):
    self.server = socket.create_server(('127.0.0.1', 0))
    self.port, self.to = self.server.getsockname()[1], to
    self.heard = {'client': b'', 'server': b''}
    threading.Thread(target=self._run, daemon=True).start()

  def _run(self):
    client, _ = self.server.accept()
    there = socket.create_connection(('localhost', self.to))
    for name, a, b in (('client', client, there), ('server', there, client)):
      threading.Thread(
        target=self._copy, args=(name, a, b), daemon=True
      ).start()

  def _copy(self, name, a, b):
    while data := a.recv(1 << 16):
      self.heard[name] += data
      b.sendall(data)


def overheard(port) -> dict[str, bytes]:
  """What goes over the wire while two processes meet."""
  zero = Process0(port)
  tap = Tap(port)
  one = peers.Lifeline(f'127.0.0.1:{tap.port}', 2, 1)
  assert one.join(dict(config=dict(B=4)), 10) == 'there:1'
  zero.join(10)
  return tap.heard


def test_the_secret_is_not_on_the_wire_and_a_replay_is_refused(port):
  heard = overheard(port)
  assert b'there:1' in heard['server'] and b'"process": 1' in heard['client']
  for data in heard.values():
    assert SECRET.encode() not in data
  zero = Process0(port)
  with zero.knock() as stranger:
    stranger.sendall(heard['client'])
    said = b''
    while data := stranger.recv(1 << 16):
      said += data
  assert b'there' not in said and said.count(b'\n') == 1  # its greeting alone
  zero.joined()


def test_what_process_0_says_is_not_taken_from_its_mirror(port):
  """Its own lines, sent back to it, prove nothing."""
  zero = Process0(port)
  with zero.knock() as mirror:
    mirror.sendall(mirror.recv(1 << 12))
    assert mirror.recv(1 << 12) == b''
  zero.joined()


@pytest.mark.parametrize(
  'said',
  [
    b'{"runtime": "evil:1"}\n',
    b'{"error": "leave", "kind": "ValueError"}\n',
    b'extrapolation 1 ' + b'0' * 64 + b'\n' + b'0' * 64 + b' {"process": 0}\n',
    b'[1]\n',
    b'9' * (8 << 20),
    b'',
  ],
)
def test_a_stranger_in_the_place_of_process_0_is_not_believed(port, said):
  def answer():
    while True:
      try:
        sock, _ = server.accept()
        sock.sendall(said)
        sock.recv(1 << 16)
        sock.close()
      except OSError:
        if server.fileno() < 0:
          return

  with socket.create_server(('127.0.0.1', port)) as server:
    threading.Thread(target=answer, daemon=True).start()
    line = peers.Lifeline(f'127.0.0.1:{port}', 2, 1)
    with pytest.raises(peers.LostError, match='missing: process 0'):
      line.join(dict(config={}), 1.0)


def test_without_a_secret_others_cannot_be_met(monkeypatch):
  monkeypatch.delenv('EXTRAPOLATION_SECRET')
  with pytest.raises(ValueError, match='export EXTRAPOLATION_SECRET=') as e:
    peers.Lifeline('node7:1234', 2, 0)
  assert '\n' not in str(e.value)
  monkeypatch.setenv('EXTRAPOLATION_SECRET', 'short')
  with pytest.raises(ValueError, match='5 characters and could be guessed'):
    peers.Lifeline('node7:1234', 2, 0)


def test_on_one_machine_a_user_has_a_secret_of_the_own(monkeypatch, tmp_path):
  monkeypatch.delenv('EXTRAPOLATION_SECRET')
  monkeypatch.setenv('HOME', str(tmp_path))
  keys = {secret.find(host) for host in ('localhost', '127.0.0.2', '::1')}
  path = tmp_path / '.cache' / 'extrapolation' / 'secret'
  assert keys == {path.read_bytes()} and len(path.read_bytes()) == 64
  assert path.stat().st_mode & 0o777 == 0o600
  assert os.listdir(path.parent) == ['secret']
  path.chmod(0o644)
  with pytest.raises(OSError, match='can be read by others'):
    secret.find('localhost')
  path.unlink()
  path.symlink_to('/etc/hostname')
  with pytest.raises(OSError, match='no secret for groups on this machine'):
    secret.find('localhost')


def test_what_only_this_machine_needs_others_cannot_reach(port):
  servers = door.listen('localhost', port, 2)
  names = {s.getsockname()[0] for s in servers}
  assert '127.0.0.1' in names and names <= {'127.0.0.1', '::1'}
  for s in servers:
    s.close()


def pair() -> tuple[channel.Channel, channel.Channel]:
  """Two ends that have proved themselves."""
  with socket.create_server(('127.0.0.1', 0)) as server:
    there = socket.create_connection(server.getsockname())
    here, _ = server.accept()
  zero, one = channel.Channel(here), channel.Channel(there)
  end = time.monotonic() + 5
  proof = threading.Thread(target=one.prove, args=(b'key', 1, end))
  proof.start()
  assert zero.prove(b'key', 0, end) == 1
  proof.join()
  return zero, one


@pytest.fixture
def watched(monkeypatch):
  """Process 0 of a running group, the other end, and how it would end."""
  zero, one = pair()
  line = peers.Lifeline('localhost:1', 2, 0, b'key')
  line.peers[1] = zero
  ends = []
  monkeypatch.setattr(line, '_stop', lambda *how, **more: ends.append(how))
  line.watch()
  yield line, one, ends
  one.close()
  line.alone.wait(5)


GARBAGE = {
  'bytes': b'\xff\x00\xfe\n' * 50,
  'JSON of nobody': b'{"code": 2, "why": "leave", "agreed": false}\n',
  'a wrong checksum': b'0' * 64 + b' {"code": 2, "why": "x"}\n',
  'nested': b'[' * 200_000 + b'\n',
  'a giant line': b'9' * (4 << 20) + b'\n',
  'lines': b'\n' * 100_000,
}


@pytest.mark.parametrize('garbage', GARBAGE.values(), ids=GARBAGE)
def test_garbage_among_the_words_of_a_peer_is_dropped(watched, garbage):
  line, one, ends = watched
  one.sock.settimeout(5)
  one.sock.sendall(garbage)
  one.send(dict(code=3, why='my own words', agreed=False))
  for _ in range(200):
    if ends:
      break
    time.sleep(0.02)
  assert [e[:2] for e in ends] == [(3, 'process 1 stopped: my own words')]
  assert len(line.peers[1]._rest) <= channel.RUNNING


@pytest.mark.parametrize(
  'message',
  [
    dict(),
    dict(code='1', why='x', agreed=False),
    dict(code=True, why='x', agreed=False),
    dict(code=-1, why='x', agreed=False),
    dict(code=1 << 40, why='x', agreed=False),
    dict(code=1, why=[1], agreed=False),
    dict(process=1),
  ],
)
def test_words_that_mean_nothing_end_nobody(watched, message):
  line, one, ends = watched
  one.send(message)
  time.sleep(0.1)
  assert not ends and not line.left
  one.send(dict(code=3, why='y', agreed=False, grace=float('nan')))
  time.sleep(0.2)
  assert [e[2] for e in ends] == [peers.GRACE]
