"""Connections between the processes of a run, open for as long as it lives."""

import contextlib
import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from extrapolation.output import exit_codes

GRACE = 10.0  # seconds to end by oneself, when another says that it ends


# (own settings, another's) -> the difference in words, '' if there is none.
Difference = Callable[[dict, dict], str]


class LostError(OSError):
  """The group cannot form, or is no more; another try may succeed."""

  exit_code = exit_codes.LOST


def free_port(port: int) -> int:
  """The first free port from `port` on."""
  for candidate in range(port, min(port + 200, 65536)):
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as s:
      s.bind(('', candidate))
      return candidate
  with socket.socket() as s:
    s.bind(('', 0))
    return s.getsockname()[1]


class Lifeline:
  """One process's end: process 0 has a connection to each of the others.

  Messages are lines of JSON.
  """

  def __init__(self, address: str, n: int, me: int):
    host, _, port = address.rpartition(':')
    self.host, self.port, self.n, self.me = host.strip('[]'), int(port), n, me
    self.peers: dict[int, socket.socket] = {}  # by process
    self.buffers: dict[socket.socket, bytes] = {}
    self.left: set[int] = set()
    self.ending = self.failed = False
    self.alone = threading.Event()  # all connections are closed
    self.lock = threading.Lock()

  def gather(
    self, about: dict, difference: Difference, runtime: str, timeout: float
  ) -> None:
    """Process 0: waits for all, compares them with itself, lets them in.

    Args:
      about: what must be the same in all; `difference` puts it in words.
      runtime: the address that goes to all when they are complete.
      timeout: seconds.

    Raises:
      OSError: the port is in use.
      LostError: processes are missing.
      ValueError: a process that is not like this one.
    """
    try:
      server = socket.create_server(('', self.port), backlog=self.n + 16)
    except OSError as e:
      raise OSError(
        f'--coordinator: port {self.port} cannot be used here '
        f'({e.strerror}); give another'
      ) from None
    end, error = time.monotonic() + timeout, None
    with server:
      while len(self.peers) < self.n - 1 and error is None:
        server.settimeout(max(0.01, end - time.monotonic()))
        try:
          sock, _ = server.accept()
        except TimeoutError:
          error = self._missing(timeout)
          break
        error = self._admit(sock, about, difference)
    reply = dict(error=str(error), kind=type(error).__name__)
    for sock in self.peers.values():
      _send(sock, dict(runtime=runtime) if error is None else reply)
    if error is not None:
      raise error

  def _admit(
    self, sock: socket.socket, about: dict, difference: Difference
  ) -> ValueError | None:
    """Takes a process in; returns an error if none of its group can run."""
    _keep_alive(sock)
    try:
      hello = _receive(sock, 10.0)
      other = hello['process']
    except (OSError, ValueError, KeyError, TypeError):
      sock.close()  # a port scan, or one that died at the door
      return None
    if lines := difference(about, hello['about']):
      self.peers[other] = sock
      return ValueError(
        f'process {other} differs from process 0 (0 -> {other}): {lines}'
      )
    if other in self.peers and _alive(self.peers[other]):
      self.peers[-1] = sock
      return ValueError(f'two processes say --process_id={other}')
    self.peers[other] = sock
    return None

  def _missing(self, timeout: float) -> LostError:
    gone = [i for i in range(1, self.n) if i not in self.peers]
    return LostError(
      f'{len(self.peers) + 1} of {self.n} processes came within {timeout:g} s; '
      f'missing: process {", ".join(map(str, gone))}'
    )

  def join(self, about: dict, timeout: float) -> str:
    """Any other process: says who it is; returns the runtime's address.

    Raises:
      LostError: process 0 does not answer, or the group is not complete.
      ValueError: this process, or another, is not like process 0.
    """
    end = time.monotonic() + timeout
    while True:
      try:
        sock = socket.create_connection((self.host, self.port), timeout=5)
        _keep_alive(sock)
        _send(sock, dict(process=self.me, about=about))
        reply = _receive(sock, max(1.0, end - time.monotonic()) + 5)
        break
      except (OSError, ValueError) as e:
        if time.monotonic() > end:
          raise LostError(
            f'process 0 does not answer at {self.host}:{self.port} within '
            f'{timeout:g} s ({e}); missing: process 0'
          ) from None
        time.sleep(0.2)
    if 'error' in reply:
      kind = ValueError if reply['kind'] == 'ValueError' else LostError
      raise kind(f'{reply["error"]} (process 0 says)')
    self.peers[0] = sock
    return reply['runtime']

  def watch(self) -> None:
    """From now on this process ends when another does."""
    for sock in self.peers.values():
      sock.settimeout(None)
    threading.Thread(target=self._watch, daemon=True).start()

  def _watch(self) -> None:
    names = {sock: i for i, sock in self.peers.items()}
    while names:
      ready, _, _ = select.select(list(names), [], [])
      for sock in ready:
        other = names[sock]
        try:
          data = sock.recv(1 << 16)
        except OSError:
          data = b''
        if not data:
          del names[sock]
          if other not in self.left and not self.failed:
            self._stop(exit_codes.LOST, f'process {other} is gone', grace=0.0)
          continue
        text = self.buffers.pop(sock, b'') + data
        *lines, rest = text.split(b'\n')
        self.buffers[sock] = rest
        for line in lines:
          self._heard(other, json.loads(line))
    self.alone.set()

  def _heard(self, other: int, message: dict) -> None:
    self.left.add(other)
    if message['agreed']:
      return
    why = message['why']
    if not message.get('passed_on'):
      why = f'process {other} stopped: {why}'
    self._stop(message['code'], why, message.get('grace', GRACE))

  def _stop(self, code: int, why: str, grace: float) -> None:
    """Tells the others, waits for the main thread, and ends the process."""
    if self.me == 0:
      self._tell(code=code, why=why, agreed=False, passed_on=True, grace=grace)
    end = time.monotonic() + grace
    while time.monotonic() < end and not self.ending:
      time.sleep(0.05)
    if self.ending:  # of itself; give it time to say what it has to say
      time.sleep(grace)
    print(f'error: process {self.me} ends: {why}', file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)

  def _tell(self, **message: Any) -> None:
    with self.lock:
      for sock in self.peers.values():
        with contextlib.suppress(OSError):
          _send(sock, message)

  def end(self, code: int, why: str, agreed: bool) -> None:
    """This process ends. agreed: so do all, and nobody needs to know why."""
    self.ending, self.failed = True, not agreed
    self._tell(code=code, why=why.split('\n')[0], agreed=agreed)

  def wait_for_peers(self) -> None:
    """Waits for the others to have gone: with process 0 goes their runtime."""
    if self.me == 0:
      self.alone.wait(GRACE + 2)

  def await_failure_cause(self) -> None:
    """Gives the watch time to find out who is gone, and to end all this."""
    time.sleep(20)


def _keep_alive(sock: socket.socket) -> None:
  """A host that vanishes without a word is noticed within about 20 s."""
  sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
  for name, value in dict(
    TCP_KEEPIDLE=5, TCP_KEEPINTVL=5, TCP_KEEPCNT=3
  ).items():
    if hasattr(socket, name):
      sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _alive(sock: socket.socket) -> bool:
  """False if the other end has closed it."""
  ready, _, _ = select.select([sock], [], [], 0)
  if not ready:
    return True
  try:
    return bool(sock.recv(1, socket.MSG_PEEK))
  except OSError:
    return False


def _send(sock: socket.socket, message: dict) -> None:
  sock.sendall(json.dumps(message).encode() + b'\n')


def _receive(sock: socket.socket, timeout: float) -> dict:
  """One line of JSON, and not a byte more."""
  end, data = time.monotonic() + timeout, b''
  while not data.endswith(b'\n'):
    sock.settimeout(max(0.01, end - time.monotonic()))
    more = sock.recv(1)
    if not more:
      raise OSError('the connection was closed')
    data += more
  return json.loads(data)
