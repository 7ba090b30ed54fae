"""Whatever a page is given, it shows as text."""

import html.parser

from extrapolation.output import html as pages

ATTACK = "\"><script>alert(1)</script><img src=x onerror='y'>&amp;{{ 7 * 7 }}"


class Tags(html.parser.HTMLParser):
  def __init__(self, text):
    super().__init__()
    self.tags, self.text = [], ''
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))

  def handle_data(self, data):
    self.text += data


def draw(path, text):
  path.write_text(text)


def test_everything_a_page_is_given_is_escaped():
  page = Tags(
    pages.page(
      ATTACK,
      [
        ATTACK,
        pages.heading(ATTACK),
        pages.text(ATTACK, ATTACK),
        pages.items([ATTACK, ATTACK], ATTACK),
        pages.table([{ATTACK: ATTACK, 'n': 1}], wrapped=(ATTACK,)),
        pages.figure(draw, ATTACK, ATTACK),
        pages.folded(ATTACK, ATTACK),
      ],
    )
  )
  names = [tag for tag, _ in page.tags]
  assert 'script' not in names and names.count('img') == 1
  # Title twice, a plain string, heading, paragraph, items, table, details.
  assert page.text.count(ATTACK) == 11
  (image,) = (attrs for tag, attrs in page.tags if tag == 'img')
  assert image['alt'] == ATTACK
  assert image['src'].startswith('data:image/svg+xml;base64,')


def test_a_table_has_the_columns_of_its_first_row():
  page = Tags(pages.table([dict(a=1, b=2), dict(b=4, a=3, c=5)]))
  assert page.text.split() == ['a', 'b', '1', '2', '3', '4']
