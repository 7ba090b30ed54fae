"""Refuses, within seconds, what needs a network that is not there.

Neither huggingface_hub's client nor tiktoken's has a timeout of its own.
"""

import threading
import urllib.error
import urllib.request

SECONDS = 5.0


def require(what: str, url: str, instead: str) -> None:
  """Raises ConnectionError, naming what to do instead, if `url` is silent.

  The whole look-up is under a deadline: a name server that never answers, or
  a firewall that drops packets, would otherwise hold it for minutes.
  """
  answers, errors = [], []

  def ask() -> None:
    try:
      request = urllib.request.Request(url, method='HEAD')
      with urllib.request.urlopen(request, timeout=SECONDS):
        answers.append(True)
    except urllib.error.HTTPError:  # it answers, if only with a refusal
      answers.append(True)
    except (OSError, ValueError) as error:
      errors.append(error)

  thread = threading.Thread(target=ask, daemon=True)
  thread.start()
  thread.join(SECONDS)
  if not answers:
    why = getattr(errors[0], 'reason', errors[0]) if errors else 'no answer'
    raise ConnectionError(
      f'{what} needs the network, and {url} cannot be reached ({why}); without '
      f'one: {instead}'
    )
