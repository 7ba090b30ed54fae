"""One HTML page that needs nothing else: no script, no other file."""

import base64
import html
import pathlib
import tempfile
from collections.abc import Callable, Iterable

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; margin: 2em auto;
  max-width: 62em; padding: 0 1em; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; }
th, td { padding: .25em .7em; text-align: right; border-bottom: 1px solid #ddd;
  white-space: nowrap; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
td.text, th.text { text-align: left; white-space: normal; min-width: 16em; }
img { max-width: 100%; } code, pre { font-size: 12px; }
pre { overflow-x: auto; background: #f6f6f6; padding: .8em; }
p.note { color: #666; font-size: 13px; } .missing { color: #a40000; }
"""


def page(title: str, body: Iterable[str]) -> str:
  """The whole document; `body` are pieces of HTML made below."""
  name = html.escape(title)
  return (
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    f'<title>{name}</title><style>{STYLE}</style></head>\n<body>\n'
    f'<h1>{name}</h1>\n' + '\n'.join(body) + '\n</body></html>\n'
  )


def heading(text: str) -> str:
  return f'<h2>{html.escape(text)}</h2>'


def text(words: str, kind: str = '') -> str:
  return f'<p class="{kind}">{html.escape(words)}</p>'


def items(lines: Iterable[str], kind: str = '') -> str:
  found = ''.join(f'<li>{html.escape(line)}</li>' for line in lines)
  return f'<ul class="{kind}">{found}</ul>'


def table(rows: list[dict], texts: tuple[str, ...] = ()) -> str:
  """Rows with the columns of the first; `texts` are columns that may wrap."""

  def line(tag: str, row: dict) -> str:
    cells = (
      f'<{tag}{" class=text" * (k in texts)}>{html.escape(str(v))}</{tag}>'
      for k, v in row.items()
    )
    return f'<tr>{"".join(cells)}</tr>'

  head = line('th', {k: k for k in rows[0]})
  found = '\n'.join(line('td', {k: row[k] for k in rows[0]}) for row in rows)
  return f'<div class="wide"><table>{head}\n{found}\n</table></div>'


def figure(draw: Callable, about: str, *args, **kwargs) -> str:
  """What `draw(path, ...)` draws, as an image within the page."""
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'figure.svg'
    draw(path, *args, **kwargs)
    code = base64.b64encode(path.read_bytes()).decode()
  source = f'data:image/svg+xml;base64,{code}'
  return f'<p><img alt="{html.escape(about)}" src="{source}"></p>'


def folded(title: str, words: str) -> str:
  return (
    f'<details><summary>{html.escape(title)}</summary>'
    f'<pre>{html.escape(words)}</pre></details>'
  )
