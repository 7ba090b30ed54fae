"""A connection between two processes that have proved themselves.

Each end sends a random number that was never used before. Both numbers and the
secret make the key of this one connection. From then on every line carries
its keyed checksum (HMAC), which also covers the direction and the number of the
line: nobody else can make one, repeat one, or send one back.

  >> extrapolation 1 NONCE       process 0
  << extrapolation 1 NONCE       another
  << CHECKSUM {"process": 3}     proves itself first: a stranger learns nothing
  >> CHECKSUM {"process": 0}     and so does process 0
"""

import contextlib
import hashlib
import hmac
import json
import secrets
import socket
import threading
import time
from typing import Any

GREETING = b'extrapolation 1 '
NONCE = 32  # bytes
MAC = 64  # hexadecimal digits
STRANGER = 256  # bytes of a line from someone who has proved nothing
LONGEST = 4 << 20  # bytes of a line while a group gathers
RUNNING = 1 << 14  # bytes of a line afterwards
HANDSHAKE = 10.0  # seconds, from the connection to the proof


class StrangerError(OSError):
  """Whoever is there is not of this group, or speaks another language."""


class Channel:
  """Lines of JSON over a socket; the socket is closed by the owner."""

  def __init__(self, sock: socket.socket):
    self.sock = sock
    self._key = b''
    self._ours, self._theirs = b'', b''  # directions
    self._sent = self._read = 0  # lines
    self._lock = threading.Lock()
    self._rest, self._skip = b'', False
    keep_alive(sock)

  def prove(self, secret: bytes, me: int, end: float) -> int:
    """Both ends prove that they know the secret; the other's number.

    Process 0 calls it with me = 0, another with its own number.

    Args:
      end: of the time for all of it, on the monotonic clock.

    Raises:
      StrangerError: the other end knows another secret, or none.
      OSError: it is too slow, or gone.
    """
    own = secrets.token_bytes(NONCE)
    self._put(GREETING + own.hex().encode() + b'\n', end)
    line = self._line(STRANGER, end)
    try:
      other = bytes.fromhex(line.removeprefix(GREETING).decode('ascii'))
    except ValueError:
      other = b''
    if not line.startswith(GREETING) or len(other) != NONCE or other == own:
      raise StrangerError('something else than a process of this codebase')
    server, client = (own, other) if me == 0 else (other, own)
    self._key = hmac.digest(secret, server + client, hashlib.sha256)
    self._ours, self._theirs = (b'>', b'<') if me == 0 else (b'<', b'>')
    if me:
      self.send(dict(process=me), end)
    there = self.receive(end, STRANGER).get('process')
    if type(there) is not int or (there != 0 if me else there < 1):
      raise StrangerError(f'not the number of a process: {there!r}'[:80])
    if me == 0:
      self.send(dict(process=0), end)
    return there

  def send(self, message: dict[str, Any], end: float | None = None) -> None:
    """Raises OSError if the other end is gone, or does not read until `end`."""
    body = json.dumps(message).encode()
    with self._lock:
      line = self._mac(self._ours, self._sent, body) + b' ' + body + b'\n'
      self._sent += 1
      self._put(line, end)

  def receive(self, end: float, longest: int = LONGEST) -> dict[str, Any]:
    """The next line.

    Raises:
      StrangerError: a line that the other end did not make.
      OSError: none until `end`, one too long, or a closed connection.
    """
    message = self._checked(self._line(longest, end))
    if message is None:
      raise StrangerError('another secret, or another group')
    return message

  def arrived(self) -> list[dict[str, Any]] | None:
    """What has arrived, for who waited for the socket; None at its end.

    Bytes that the other end did not make as a line of its own are dropped.
    """
    try:
      data = self.sock.recv(1 << 16)
    except (BlockingIOError, TimeoutError):
      return []
    except OSError:
      data = b''
    if not data:
      return None
    *lines, self._rest = (self._rest + data).split(b'\n')
    if lines and self._skip:
      del lines[0]
      self._skip = False
    if len(self._rest) > RUNNING:
      self._rest, self._skip = b'', True
    messages = [self._checked(line) for line in lines]
    return [m for m in messages if m is not None]

  def _checked(self, line: bytes) -> dict[str, Any] | None:
    mac, _, body = line.partition(b' ')
    want = self._mac(self._theirs, self._read, body)
    if not hmac.compare_digest(mac, want):
      return None
    self._read += 1
    try:
      message = json.loads(body)
    except (ValueError, RecursionError):
      return None
    return message if isinstance(message, dict) else None

  def _mac(self, direction: bytes, number: int, body: bytes) -> bytes:
    data = direction + number.to_bytes(8, 'big') + body
    return hmac.new(self._key, data, hashlib.sha256).hexdigest().encode()

  def _put(self, data: bytes, end: float | None) -> None:
    self.sock.settimeout(None if end is None else _left(end))
    self.sock.sendall(data)  # its timeout is of the whole

  def _line(self, longest: int, end: float) -> bytes:
    """One line, and not a byte more: `arrived` is to find the next."""
    line = bytearray()
    while not line.endswith(b'\n'):
      self.sock.settimeout(_left(end))
      data = self.sock.recv(1 << 16, socket.MSG_PEEK)
      size = data.find(b'\n') + 1 or len(data)
      if not size:
        raise OSError('the connection was closed')
      if len(line) + size > longest + 1:
        raise StrangerError(f'a line of more than {longest} bytes')
      line += self.sock.recv(size)
    return bytes(line[:-1])

  def alive(self) -> bool:
    """False if the other end has closed it."""
    self.sock.setblocking(False)
    try:
      return bool(self.sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
      return True
    except OSError:
      return False

  def close(self) -> None:
    """Closes it, also for a thread that is waiting for a line."""
    with contextlib.suppress(OSError):
      self.sock.shutdown(socket.SHUT_RDWR)
    self.sock.close()


def _left(end: float) -> float:
  left = end - time.monotonic()
  if left <= 0:
    raise TimeoutError('timed out')
  return left


def keep_alive(sock: socket.socket) -> None:
  """A host that vanishes without a word is noticed within about 20 s."""
  sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
  for name, value in dict(
    TCP_KEEPIDLE=5, TCP_KEEPINTVL=5, TCP_KEEPCNT=3
  ).items():
    if hasattr(socket, name):
      sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
