"""A witness as files: q, k and v as .npz, the proof as text."""

import dataclasses
import re

import numpy as np
from flint import arb

from extrapolation.output import files
from extrapolation.theory import convergence, witness
from extrapolation.theory.bracket import INFINITE, Bracket
from extrapolation.theory.enclosures.sums import precision
from extrapolation.theory.expression.graph import Node
from extrapolation.theory.subjects import Subject
from extrapolation.theory.table import bracket
from extrapolation.theory.witness import Witness

LONGEST = 10**7  # tokens of a text that is written out
DIGITS = 12  # or as many as are proved

PROOF = """\
# {subject}, head {head}: a text on which a window of {w:,} keys is wrong

{verdict}

**Text.** n = {n:,} tokens, q = k = 0, so that every logit is 0, and values
v = -u for the first {far:,} tokens, v = +u for the last {w:,}, ||u|| = 1.

**Claim.** The last query's output o over all n keys and its output o_w over
the nearest w = {w:,} differ by

    ||o - o_w|| = 2 (1 - B_w / B_n) = {error}.

**Proof.** A key at distance t has the weight e^b(t), and B_n is the sum of
these over t < n. The nearest w keys hold the share B_w / B_n of the weight and
have the value +u, the others -u, so o = (2 B_w / B_n - 1) u, while o_w = u.

    B_w = {near}
    B_n = {whole}

in ball arithmetic: midpoint +/- radius. {why}

**Check.** This project's own attention, in float32, differs by {checked:.6f}
on these arrays.

While all logits are equal no values make the error of this window larger at
this n (docs/theory.md, theorem 1).
"""

NONE = """\
# {subject}, head {head}: no text makes a window of {w:,} keys wrong

By the whole value, that is, and while all logits are equal.

{verdict}

With all logits equal the error of a window of w keys in a text of n is at most
2 (1 - B_w / B_n) <= 2 T_w / B, T_w the weight beyond the window and B all of it
(docs/theory.md, theorem 1), for n as large as one likes

    2 T_w / B = {sup},

which is less than 1: there is no such text of any length. With logits in
[-M, M] the largest error is 2 s(2 M + ln T_w - ln B_w), s(x) = 1 / (1 + e^-x):

    M = 1: {one}    M = 5: {five}
"""


def write(
  subject: Subject,
  w: int,
  head: int | None = None,
  folder: str = '.',
) -> str:
  """Writes the witness against a window of w keys; returns what was written.

  Args:
    subject: of one or more heads.
    w: the window, in tokens.
    head: which one, from 1; None for the one with the shortest text.
    folder: gets witness-SUBJECT-HEAD-W.npz, if there is a witness, and .md.

  Raises:
    ValueError: no such head or window, an unusable weight, or an encoding
      that is not judged.
  """
  heads = subject.heads
  if not 1 <= w <= LONGEST:
    raise ValueError(f'--window={w}: needs 1 to {LONGEST} keys')
  if head is not None and not 1 <= head <= len(heads):
    raise ValueError(f'--head={head}: there are heads 1 to {len(heads)}')
  chosen = range(len(heads)) if head is None else [head - 1]
  lengths = {i: witness.n_half(heads[i], w) for i in chosen}
  i = min(lengths, key=lambda i: _order(lengths[i]))
  name = re.sub(r'[^A-Za-z0-9_.]+', '-', f'{subject.name[:60]}-{i + 1}-{w}')
  path = f'{folder}/witness-{name.strip("-")}'
  text, made = _text(subject.name, i, heads[i], w, lengths[i])
  if len(lengths) > 1:
    lines = [f'    head {j + 1}: {_said(lengths[j])}' for j in lengths]
    text += '\n**Shortest text of every head.**\n\n' + '\n'.join(lines) + '\n'
  files.make_folder(folder)
  files.write_text(f'{path}.md', text)
  if made is not None:
    np.savez_compressed(f'{path}.npz', **made.arrays())
  wrote = f'{path}.md' + (f' and {path}.npz' if made is not None else '')
  return f'{text}\nwrote {wrote}'


def _order(n: Bracket) -> float:
  if n.low is None:
    return float('inf')
  return float(min(n.high or 10 * n.low, 10**300))


def _said(n: Bracket) -> str:
  if n == INFINITE:
    return 'there is none'
  return f'{bracket(dataclasses.asdict(n))} tokens'


def _text(
  subject: str, i: int, root: Node, w: int, n: Bracket
) -> tuple[str, Witness | None]:
  verdict = convergence.judge(root)
  kept = dict(subject=subject, head=i + 1, w=w)
  kept['verdict'] = f'The sum of its weights {_verb(verdict)}'
  if n == INFINITE:
    x = witness.largest(root, w)
    with precision():
      odds = (x / (1 - x) * arb(2 * M).exp() for M in (1, 5))
      one, five = (2 * y / (1 + y) for y in odds)
    shown = dict(
      sup=(2 * x).str(DIGITS), one=one.str(DIGITS), five=five.str(DIGITS)
    )
    return NONE.format(**kept, **shown), None
  if n.high is None or n.high > LONGEST:
    text = (
      f'# {subject}, head {i + 1}: a text too long to write\n\n'
      f'{kept["verdict"]}\n\nThe shortest text on which a window of {w:,} keys '
      f'is wrong by the whole value has {_said(n)};\nat most {LONGEST:,} are '
      'written. Give a smaller --window.\n'
    )
    return text, None
  made = witness.make(root, w, n.high)
  smallest = f'n = {n.high:,} is the smallest such n'
  if n.low != n.high:
    smallest = f'the smallest such n is {n.low:,} or more'
  why = f'B_n >= 2 B_w,\nand {smallest}.'
  text = PROOF.format(
    **kept, n=made.n, far=made.n - w, error=made.error.str(DIGITS),
    near=made.near.str(DIGITS), whole=made.whole.str(DIGITS), why=why,
    checked=witness.checked(root, made),
  )  # fmt: skip
  return text, made


def _verb(verdict: convergence.Verdict) -> str:
  if verdict.verdict in ('converges', 'diverges'):
    return f'{verdict.verdict}: {verdict.argument}.'
  return f'is not known to converge: {verdict.argument}.'
