"""One HTML page that needs nothing else: no script, no other file.

Pieces are made by the functions below and escape what they are given; a plain
string among the pieces of a page is escaped too.
"""

import base64
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

TEMPLATES = """
{% macro page(title, style, pieces) -%}
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title><style>{{ style }}</style></head>
<body>
<h1>{{ title }}</h1>
{% for piece in pieces %}
{{ piece }}
{% endfor %}
</body></html>
{% endmacro %}
{% macro heading(text) %}<h2>{{ text }}</h2>{% endmacro %}
{% macro text(words, kind) %}<p class="{{ kind }}">{{ words }}</p>{% endmacro %}
{% macro items(lines, kind) -%}
<ul class="{{ kind }}">
{% for line in lines %}<li>{{ line }}</li>{% endfor %}
</ul>
{%- endmacro %}
{% macro row(tag, cells, wrapped) -%}
<tr>
{% for key, cell in cells %}
<{{ tag }}{{ ' class=text' if key in wrapped else '' }}>{{ cell }}</{{ tag }}>
{% endfor %}
</tr>
{%- endmacro %}
{% macro table(columns, rows, wrapped) -%}
<div class="wide"><table>
{{ row('th', columns, wrapped) }}
{% for cells in rows %}
{{ row('td', cells, wrapped) }}
{% endfor %}
</table></div>
{%- endmacro %}
{% macro image(caption, code) -%}
<p><img alt="{{ caption }}" src="data:image/svg+xml;base64,{{ code }}"></p>
{%- endmacro %}
{% macro folded(title, words) -%}
<details><summary>{{ title }}</summary><pre>{{ words }}</pre></details>
{%- endmacro %}
"""

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

_pieces = (
  jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  .from_string(TEMPLATES)
  .make_module()
)


def _make(kind: str, *args: Any) -> Markup:
  return getattr(_pieces, kind)(*args)


def page(title: str, pieces: Iterable[Markup | str]) -> str:
  """The whole document."""
  return str(_make('page', title, Markup(STYLE), pieces))


def heading(text: str) -> Markup:
  return _make('heading', text)


def text(words: str, kind: str = '') -> Markup:
  """A paragraph; `kind` is '', 'note' or 'missing'."""
  return _make('text', words, kind)


def items(lines: Sequence[str], kind: str = '') -> Markup:
  """A list of points."""
  return _make('items', lines, kind)


def table(rows: Sequence[dict], wrapped: Sequence[str] = ()) -> Markup:
  """Rows with the columns of the first; those `wrapped` hold sentences."""
  columns = list(rows[0])
  cells = [[(key, row[key]) for key in columns] for row in rows]
  return _make('table', [(key, key) for key in columns], cells, wrapped)


def figure(draw: Callable[..., None], caption: str, *args: Any) -> Markup:
  """What `draw(path, *args)` draws, as an image within the page."""
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'figure.svg'
    draw(path, *args)
    code = base64.b64encode(path.read_bytes()).decode()
  return _make('image', caption, code)


def folded(title: str, words: str) -> Markup:
  """Preformatted words that are shown when asked for."""
  return _make('folded', title, words)
