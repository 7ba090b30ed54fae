"""Tables and figures of the study from its sweeps, however far it is.

  python launch/study_results.py --workdir=runs/study --out=results/study
  python launch/study_results.py --workdir=runs/study --out=results/study \
    --page=results/STUDY.md

Writes into --out a figure per question and a folder per sweep: its config,
sweep.csv, a row per run and length, probe.csv, a row per run and cell of its
probe, probe-reach.csv; `extrapolation.predict --fit` reads these. Prints, in
Markdown, the table of each question with what it is judged by. --page puts them
in a page as well, between the lines `<!-- table: a -->` and `<!-- end -->`.
--far adds tables of `extrapolation.probe` that asked runs of question b in
longer windows. Nothing is trained; what has no finished run is left out.
"""

import pathlib
import sys
from collections.abc import Iterator, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the same code as `python -m` runs here

from extrapolation import cli  # noqa: E402
from extrapolation.cli import flags, paths  # noqa: E402
from extrapolation.output import files, table  # noqa: E402
from launch.studies import (  # noqa: E402
  figures,
  probe_answers,
  probe_figures,
  recorded,
  sweeps,
  text_answers,
)
from launch.studies.sweeps import Sweep  # noqa: E402
from launch.studies.text_answers import Answer  # noqa: E402

RETRIEVAL = 'retrieval'  # the question that is answered by needles


def answers(
  out: pathlib.Path, by_question: dict[str, list[Sweep]]
) -> Iterator[tuple[str, Answer]]:
  """Title and answer of every question that has runs; draws its figure."""
  get = by_question.get
  yield 'runs', (_counts(by_question), [])
  if of := get('far_mass'):
    figures.far_mass(out / 'a-far_mass.png', of)
    yield 'a', text_answers.far_mass(of)
  if of := get(RETRIEVAL):
    probe_figures.retrieval(out / 'b-retrieval.png', of[0])
    yield 'b', probe_answers.retrieval(of)
    longest = probe_answers.lengths(of[0])[-1]
    yield 'b, reach', probe_answers.reaches(of[0], longest)
    if cells := recorded.beyond(out, of[0]):
      probe_figures.costs(out / 'b-costs.png', cells)
      yield 'b, far', probe_answers.costs(cells)
  if (text := get('both')) and (needles := get(RETRIEVAL)):
    probe_figures.both(out / 'c-both.png', text[0], needles[0])
    yield 'c', probe_answers.both(text[0], needles[0])
  if of := get('settings'):
    figures.settings(out / 'd-settings.png', of[0])
    yield 'd', text_answers.settings(of)
  if of := get('one_head'):
    figures.one_head(out / 'e-one_head.png', of[0])
    yield 'e', text_answers.one_head(of)
  every = [s for of in by_question.values() for s in of]
  figures.out_of_sample(out / 'f-out_of_sample.png', every)
  yield 'f', text_answers.out_of_sample(every)
  if of := get('rate'):
    figures.rate(out / 'g-rate.png', of[0])
    yield 'g', text_answers.rate(of)


def _counts(by_question: dict[str, list[Sweep]]) -> list[dict[str, str]]:
  """What there is: a row per sweep."""
  return [
    {
      'config': f'`{s.question}.py`',
      'corpus': s.corpus or '-',
      'runs': f'{len(s.finished)} of {len(s.runs)}',
      'encodings': f'{len(s.labels)} of {len(s.made.predicted)}',
      'commit': ', '.join(sorted({r.rows[0]['commit'] for r in s.finished})),
    }
    for of in by_question.values()
    for s in of
  ]


def markdown(rows: Sequence[dict[str, str]]) -> str:
  """Rows as a table of Markdown."""
  columns = list(dict.fromkeys(key for row in rows for key in row))
  lines = [columns, ['---'] * len(columns)]
  lines += [[row.get(key, '-') for key in columns] for row in rows]
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def paged(page: str, title: str, text: str) -> str:
  """The page with a text between the marks of a title; as it is without them.

  Raises:
    ValueError: a mark that no `<!-- end -->` follows.
  """
  mark, end = f'<!-- table: {title} -->\n', '<!-- end -->'
  before, there, after = page.partition(mark)
  if not there:
    return page
  _, closed, after = after.partition(end)
  if not closed:
    raise ValueError(f'no {end} follows {mark.strip()}; add it to the page')
  return f'{before}{mark}\n{text}\n\n{end}{after}'


def main(argv: list[str]) -> None:
  parser = flags.Parser(__doc__)
  add = parser.add_argument
  add('--workdir', type=paths.path, required=True, metavar='DIR')
  add('--out', type=paths.path, required=True, metavar='DIR')
  add('--far', type=paths.several, metavar='FILE.csv,..',
      help='cells of longer windows')  # fmt: skip
  add('--page', type=paths.path, metavar='FILE', help='to put tables in')
  args = parser.parse_args(argv)
  out, page = pathlib.Path(args.out), ''
  if args.page:
    page = pathlib.Path(args.page).read_text()
  read = [s for s in sweeps.read(pathlib.Path(args.workdir)) if s.finished]
  out.mkdir(parents=True, exist_ok=True)
  far = [row for path in args.far or () for row in table.read(path)]
  wrote: list[pathlib.Path] = []
  by_question: dict[str, list[Sweep]] = {}
  for s in read:
    by_question.setdefault(s.question, []).append(s)
    wrote += recorded.write(out, s, far if s.question == RETRIEVAL else ())
  answered = list(answers(out, by_question))
  for title, (rows, said) in answered:
    text = '\n'.join([markdown(rows), '', *(f'* {line}' for line in said)])
    print(f'\n## {title}\n\n{text.strip()}')
    page = paged(page, title, text.strip())
  if args.page:
    files.write_text(args.page, page)
    wrote.append(pathlib.Path(args.page))
  for path in (*wrote, *sorted(out.glob('*.png'))):
    print(f'wrote {path}')


if __name__ == '__main__':
  cli.run(main, prints=True)
