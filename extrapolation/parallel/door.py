"""Where process 0 listens for the others, and turns strangers away."""

import errno
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator

from extrapolation.parallel import secret
from extrapolation.parallel.channel import HANDSHAKE, Channel, StrangerError

log = logging.getLogger(__name__)

CROWD = 128  # who may be at the door at once, besides the processes themselves
POLL = 0.05  # seconds

# Takes in who has proved itself: (channel, its number, the end of its time).
Admit = Callable[[Channel, int, float], None]


class Door:
  """Everybody who comes has a thread and HANDSHAKE seconds to prove itself.

  Whatever a stranger sends, or does not send, ends its own connection alone.

  Attributes:
    strangers: how many were turned away, by what they did.
  """

  def __init__(self, host: str, port: int, n: int, key: bytes, admit: Admit):
    self.key, self.admit, self.most = key, admit, n + CROWD
    self.servers = listen(host, port, n)
    self.waiting: dict[Channel, None] = {}  # not yet in, the oldest first
    self.strangers: dict[str, int] = {}
    self.lock = threading.Lock()

  def open(self, done: Callable[[], bool], end: float) -> None:
    """Lets in until `done()`, or until `end` on the monotonic clock."""
    try:
      while not done() and time.monotonic() < end:
        for sock in self._knocks():
          self._knock(sock)
    finally:
      for server in self.servers:
        server.close()
      for channel in list(self.waiting):
        channel.close()

  def _knocks(self) -> Iterator[socket.socket]:
    ready, _, _ = select.select(self.servers, [], [], POLL)
    for server in ready:
      try:
        yield server.accept()[0]
      except BlockingIOError:
        continue
      except OSError as e:  # gone already; or no descriptor is left
        log.debug('a connection that could not be accepted: %s', e)
        self._forget_oldest()
        time.sleep(POLL)

  def _knock(self, sock: socket.socket) -> None:
    if len(self.waiting) >= self.most:
      self._forget_oldest()  # a process that was among them comes again
    try:
      channel = Channel(sock)
      with self.lock:
        self.waiting[channel] = None
      threading.Thread(target=self._serve, args=(channel,), daemon=True).start()
    except (OSError, RuntimeError):  # gone already; or no thread is left
      self._forget_oldest()
      sock.close()

  def _forget_oldest(self) -> None:
    with self.lock:
      oldest = next(iter(self.waiting), None)
      if oldest is not None:
        del self.waiting[oldest]
        oldest.close()

  def _serve(self, channel: Channel) -> None:
    end = time.monotonic() + HANDSHAKE
    try:
      other = channel.prove(self.key, 0, end)
      with self.lock:
        known = channel in self.waiting
        self.waiting.pop(channel, None)
      if known:
        self.admit(channel, other, end)
    except OSError as e:
      channel.close()
      what = str(e) if isinstance(e, StrangerError) else 'no proof in time'
      with self.lock:
        self.waiting.pop(channel, None)
        self.strangers[what] = self.strangers.get(what, 0) + 1

  def __str__(self):
    return '; '.join(f'{k} x {what}' for what, k in self.strangers.items())


def listen(host: str, port: int, n: int) -> list[socket.socket]:
  """Sockets that wait for n processes, over IPv6 and IPv4 where they exist.

  Where `host` is this machine's alone, nobody from outside can connect.

  Raises:
    OSError: the port is in use.
  """
  options = dict(backlog=min(n + CROWD, 4096))
  if secret.loopback(host):
    wanted = [(socket.AF_INET6 if ':' in host else socket.AF_INET, host)]
    if host == 'localhost':
      wanted = [(socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1')]
  elif socket.has_dualstack_ipv6():
    wanted = [(socket.AF_INET6, '')]
    options['dualstack_ipv6'] = True
  else:
    wanted = [(socket.AF_INET, '')]
  servers: list[socket.socket] = []
  for family, name in wanted:
    try:
      server = socket.create_server((name, port), family=family, **options)
    except OSError as e:
      if family == socket.AF_INET6 and servers and e.errno != errno.EADDRINUSE:
        continue  # a machine without IPv6
      for other in servers:
        other.close()
      raise OSError(
        f'--coordinator: port {port} cannot be used here '
        f'({e.strerror or e}); give another'
      ) from None
    server.setblocking(False)
    servers.append(server)
  return servers
