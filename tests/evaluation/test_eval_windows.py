"""Windows: every length scores the same targets, each of them once."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extrapolation.evaluation import eval_windows


@st.composite
def cases(draw):
  lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
  kind = draw(st.sampled_from(['nonoverlap', 'sliding', 'last']))
  if kind != 'nonoverlap':
    kind += f':{draw(st.integers(1, min(lengths)))}'
  total = draw(st.integers(max(lengths) + 1, 200))
  targets = draw(st.sampled_from([0, max(lengths), max(lengths) + 17]))
  return total, lengths, kind, targets


def scored(windows):
  return [t for w in windows for t in range(w.score, w.stop)]


@given(cases())
def test_every_length_scores_the_same_targets_once(case):
  total, lengths, kind, targets = case
  longest, sets = max(lengths), []
  for n in lengths:
    windows = eval_windows.windows((0, total), n, kind, longest, targets)
    sets.append(scored(windows))
    for w in windows:
      assert 0 <= w.start < w.score < w.stop <= total
      assert w.stop - w.start - 1 <= n  # inputs
      assert w.score > w.start  # a target has a token before it
  for one in sets:
    assert one == sets[0] == sorted(set(one))
  if not kind.startswith('last'):
    assert sets[0][0] == 1
  want = targets or total
  assert len(sets[0]) == min(want, total - sets[0][0])


@given(cases())
def test_context_is_what_the_protocol_promises(case):
  total, lengths, kind, targets = case
  step = int(kind.partition(':')[2] or 0)
  for n in lengths:
    windows = eval_windows.windows((0, total), n, kind, max(lengths), targets)
    for i, w in enumerate(windows):
      context = w.score - w.start  # tokens before the first target scored
      if kind == 'nonoverlap' or (i == 0 and kind.startswith('sliding')):
        assert context == 1
      else:
        assert context == n - step + 1


@st.composite
def corpora(draw):
  """Offsets of documents, of which one holds the longest length."""
  _, lengths, kind, _ = draw(cases())
  sizes = draw(st.lists(st.integers(1, 60), min_size=1, max_size=8))
  sizes.insert(draw(st.integers(0, len(sizes))), max(lengths) + 1)
  return np.cumsum([0, *sizes]), lengths, kind


@given(corpora())
def test_within_documents_every_length_scores_the_same_targets(case):
  documents, lengths, kind = case
  longest, sets = max(lengths), []
  for n in lengths:
    windows = eval_windows.windows(documents, n, kind, longest)
    sets.append(scored(windows))
    assert eval_windows.crossing(windows, documents) == 0
    for w in windows:
      one = set(np.searchsorted(documents, range(w.start, w.stop), 'right'))
      assert len(one) == 1
      assert w.start < w.score < w.stop and w.stop - w.start - 1 <= n
      full = w.stop - w.start - 1 == n or w.stop in documents
      assert full or kind == 'nonoverlap'  # or it is the end of the document
  for one in sets:
    assert one == sets[0] == sorted(set(one))
  if not kind.startswith('last'):  # then each but the first of a document
    assert not {*sets[0]} & {*documents}
    assert len(sets[0]) == documents[-1] - len(documents) + 1


@given(corpora())
def test_one_document_is_a_stream_and_others_are_moved_by_their_start(case):
  documents, lengths, kind = case
  longest = max(lengths)
  for n in lengths:
    each = []
    for a, b in itertools.pairwise(documents.tolist()):
      if b - a > longest:
        each += [
          eval_windows.Window(w.start + a, w.score + a, w.stop + a)
          for w in eval_windows.windows((0, b - a), n, kind, longest)
        ]
    every = eval_windows.windows(documents, n, kind, longest)
    assert [w for w in every if w in each] == each


@given(corpora())
def test_what_crosses_documents_and_what_is_short_is_counted(case):
  documents, lengths, kind = case
  longest, total = max(lengths), int(documents[-1])
  of = np.searchsorted(documents, np.arange(total), 'right')
  stream = eval_windows.windows((0, total), longest, kind, longest)
  crossing = [len(set(of[w.start : w.stop])) > 1 for w in stream]
  assert eval_windows.crossing(stream, documents) == sum(crossing)
  plan = eval_windows.windows(documents, longest, kind, longest)
  counts = np.bincount(of[scored(plan)], minlength=len(documents))[1:]
  short = (np.diff(documents) <= longest) & (counts > 0)
  want = (short.sum(), counts[short].sum())
  assert eval_windows.shorter(plan, documents, longest) == want


def test_so_many_targets_are_the_first_of_the_documents():
  plan = eval_windows.windows((0, 3, 10, 30), 4, 'nonoverlap', 4, 11)
  assert scored(plan) == [1, 2, 4, 5, 6, 7, 8, 9, 11, 12, 13]
  with pytest.raises(ValueError, match='= 11 targets; .* up to 6'):
    eval_windows.windows((0, 3, 10, 30), 4, 'nonoverlap', 7, 11)
  with pytest.raises(ValueError, match='longer than every document: 19 is'):
    eval_windows.windows((0, 3, 10, 30), 4, 'nonoverlap', 20)


def test_windows_by_hand():
  w = eval_windows.Window
  assert eval_windows.windows((0, 11), 4, 'nonoverlap', 4) == [
    w(0, 1, 5), w(4, 5, 9), w(8, 9, 11)]  # fmt: skip
  assert eval_windows.windows((0, 8), 4, 'sliding:2', 4) == [
    w(0, 1, 5), w(2, 5, 7), w(4, 7, 8)]  # fmt: skip
  assert eval_windows.windows((0, 9), 3, 'last:2', 5) == [
    w(2, 4, 6), w(4, 6, 8), w(6, 8, 9)]  # fmt: skip


@pytest.mark.parametrize(
  'args, message',
  [
    (((0, 10), 4, 'nonoverlap', 10), 'length 10 is longer than the text: 9 is'),
    (((0, 1), 1, 'nonoverlap', 1), 'longer than the text: 0 is the longest'),
    (((0, 99), 4, 'sliding:5', 50), 'scores 5 targets per window'),
    (
      ((0, 99), 4, 'sliding', 50),
      'there are: nonoverlap, sliding:STRIDE, last:K',
    ),
    (((0, 99), 4, 'last:0', 50), "no protocol 'last:0'.*with numbers >= 1"),
    (((0, 99), 4, 'nonoverlap', 50, 20), 'eval.tokens = 20'),
  ],
)
def test_mistakes_are_named(args, message):
  with pytest.raises(ValueError, match=message):
    eval_windows.windows(*args)
