"""Connections between the processes of a run, open for as long as it lives."""

import contextlib
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from extrapolation.output import exit_codes
from extrapolation.parallel import secret
from extrapolation.parallel.channel import HANDSHAKE, Channel, StrangerError
from extrapolation.parallel.door import Door

GRACE = 10.0  # seconds to end by oneself, when another says that it ends
WORDS = 1000  # characters of why a process ends


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
  """One process's end: process 0 has a connection to each of the others."""

  def __init__(self, address: str, n: int, me: int, key: bytes | None = None):
    """The end of process `me` of n, whose process 0 is at HOST:PORT.

    Args:
      key: the group's secret; None is what `secret.find` finds.

    Raises:
      ValueError, OSError: there is none, see `secret.find`.
    """
    host, _, port = address.rpartition(':')
    self.host, self.port, self.n, self.me = host.strip('[]'), int(port), n, me
    self.key = secret.find(self.host) if key is None else key
    self.peers: dict[int, Channel] = {}  # by process
    self.refused: list[Channel] = []
    self.error: Exception | None = None
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

    def admit(channel: Channel, other: int, end: float) -> None:
      theirs = channel.receive(end).get('about')
      with self.lock:
        self._admit(channel, other, theirs, about, difference)

    def complete() -> bool:
      return self.error is not None or len(self.peers) == self.n - 1

    door = Door(self.host, self.port, self.n, self.key, admit)
    door.open(complete, time.monotonic() + timeout)
    with self.lock:
      error = self.error
      if error is None and not complete():
        error = self._missing(timeout, str(door))
      reply: dict[str, Any] = dict(runtime=runtime)
      if error is not None:
        reply = dict(error=str(error), kind=type(error).__name__)
      self.error = error or ValueError('the door is closed')
      self._tell(reply, [*self.peers.values(), *self.refused])
    if error is not None:
      raise error

  def _admit(
    self,
    channel: Channel,
    other: int,
    theirs: Any,
    about: dict,
    difference: Difference,
  ) -> None:
    """Takes in a process of this group, unless the group cannot run with it."""
    if not isinstance(theirs, dict):
      raise StrangerError('no settings')
    if self.error is not None:  # one that came too late
      channel.close()
      return
    if lines := difference(about, theirs):
      self.error = ValueError(
        f'process {other} differs from process 0 (0 -> {other}): {lines}'
      )
    elif other >= self.n:
      self.error = ValueError(
        f'--process_id={other} of --num_processes={self.n}: needs 0 <= I < N'
      )
    elif other in self.peers and self.peers[other].alive():
      self.error = ValueError(f'two processes say --process_id={other}')
    if self.error is not None:
      self.refused.append(channel)
    else:
      self.peers[other] = channel

  def _missing(self, timeout: float, strangers: str) -> LostError:
    gone = [i for i in range(1, self.n) if i not in self.peers]
    turned = f' (turned away: {strangers})' if strangers else ''
    return LostError(
      f'{len(self.peers) + 1} of {self.n} processes came within {timeout:g} s; '
      f'missing: process {", ".join(map(str, gone))}{turned}'
    )

  def join(self, about: dict, timeout: float) -> str:
    """Any other process: says who it is; returns the runtime's address.

    Raises:
      LostError: process 0 does not answer, or the group is not complete.
      ValueError: this process, or another, is not like process 0.
    """
    end, told = time.monotonic() + timeout, None
    while True:
      try:
        channel, reply = self._knock(about, end)
        break
      except OSError as e:
        told = e if told is None or isinstance(e, StrangerError) else told
        if time.monotonic() > end:
          raise LostError(
            f'process 0 does not answer at {self.host}:{self.port} within '
            f'{timeout:g} s ({told}); missing: process 0'
          ) from None
        time.sleep(0.2)
    if 'error' in reply:
      kind = ValueError if reply.get('kind') == 'ValueError' else LostError
      raise kind(f'{reply["error"]} (process 0 says)')
    self.peers[0] = channel
    return str(reply.get('runtime'))

  def _knock(self, about: dict, end: float) -> tuple[Channel, dict]:
    """One try to be let in: the channel, and what process 0 says."""
    sock = socket.create_connection((self.host, self.port), timeout=5)
    channel = Channel(sock)
    try:
      soon = time.monotonic() + HANDSHAKE
      try:
        channel.prove(self.key, self.me, soon)
        channel.send(dict(about=about), soon)
      except OSError as e:
        raise StrangerError(
          f'{e}: another {secret.VARIABLE}, or another program at that port'
        ) from None
      # With as much time as process 0 takes to miss somebody.
      return channel, channel.receive(max(time.monotonic() + 1, end) + 5)
    except BaseException:
      channel.close()
      raise

  def watch(self) -> None:
    """From now on this process ends when another does."""
    threading.Thread(target=self._watch, daemon=True).start()

  def _watch(self) -> None:
    with selectors.DefaultSelector() as waiting:
      for i, channel in self.peers.items():
        waiting.register(channel.sock, selectors.EVENT_READ, (i, channel))
      while waiting.get_map():
        for key, _ in waiting.select():
          other, channel = key.data
          messages = channel.arrived()
          if messages is None:
            waiting.unregister(channel.sock)
            if other not in self.left and not self.failed:
              self._stop(exit_codes.LOST, f'process {other} is gone', grace=0.0)
          for message in messages or ():
            self._heard(other, message)
    self.alone.set()

  def _heard(self, other: int, message: dict) -> None:
    code, why = message.get('code'), message.get('why')
    if type(code) is not int or not 0 <= code < 256 or not isinstance(why, str):
      return  # not what a process says that ends
    self.left.add(other)
    if message.get('agreed') is True:
      return
    if not message.get('passed_on'):
      why = f'process {other} stopped: {why}'
    grace = message.get('grace', GRACE)
    soon = isinstance(grace, (int, float)) and 0 <= grace <= GRACE
    self._stop(code, why, grace if soon else GRACE)

  def _stop(self, code: int, why: str, grace: float) -> None:
    """Tells the others, waits for the main thread, and ends the process."""
    if self.me == 0:
      message = dict(code=code, why=why[:WORDS], agreed=False, grace=grace)
      self._tell(message | dict(passed_on=True), self.peers.values())
    end = time.monotonic() + grace
    while time.monotonic() < end and not self.ending:
      time.sleep(0.05)
    if self.ending:  # of itself; give it time to say what it has to say
      time.sleep(grace)
    words = ''.join(c if c.isprintable() else '?' for c in why)
    print(
      f'error: process {self.me} ends: {words}', file=sys.stderr, flush=True
    )
    sys.stdout.flush()
    os._exit(code)

  def _tell(self, message: dict, channels: Iterable[Channel]) -> None:
    """Tells those that are still there, none of which can hold up the rest."""
    end = time.monotonic() + GRACE
    for channel in channels:
      with contextlib.suppress(OSError):
        channel.send(message, end)

  def end(self, code: int, why: str, agreed: bool) -> None:
    """This process ends. agreed: so do all, and nobody needs to know why."""
    self.ending, self.failed = True, not agreed
    line = why.split('\n')[0][:WORDS]
    message = dict(code=code, why=line, agreed=agreed)
    self._tell(message, self.peers.values())

  def wait_for_peers(self) -> None:
    """Waits for the others to have gone: with process 0 goes their runtime."""
    if self.me == 0:
      self.alone.wait(GRACE + 2)

  def await_failure_cause(self) -> None:
    """Gives the watch time to find out who is gone, and to end all this."""
    time.sleep(20)
