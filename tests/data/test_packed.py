"""Packed windows: every target once, whole documents, one integer of state."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extrapolation import data
from extrapolation.data import batches, packed

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def offsets_of(lengths):
  return np.cumsum([0, *lengths])


def best_fit(sizes, room):
  """Room left in each bin, one piece at a time: Johnson's own words."""
  left = []
  for size in sorted(sizes, reverse=True):
    fits = [(room, i) for i, room in enumerate(left) if room >= size]
    if fits:
      left[min(fits)[1]] -= size
    else:
      left.append(room - size)
  return left


@given(
  sizes=st.lists(st.integers(1, 12), max_size=40), room=st.integers(12, 20)
)
def test_pieces_lie_as_best_fit_decreasing_puts_them(sizes, room):
  sizes = np.array(sizes, int)
  bins = packed.best_fit_decreasing(sizes, room)
  filled = np.bincount(bins, sizes)
  assert sorted(room - filled) == sorted(best_fit(sizes, room))


@given(lengths=LENGTHS, T=st.integers(1, 16))
@settings(deadline=None)
def test_every_token_of_a_document_is_a_target_once(lengths, T):
  """But for the first one of each, which follows nothing."""
  offsets = offsets_of(lengths)
  text = np.arange(offsets[-1], dtype=np.uint16)
  if max(lengths) < 2:
    with pytest.raises(ValueError, match='of one token each have no target'):
      packed.pack(offsets, T)
    return
  windows = packed.pack(offsets, T)
  tokens, weights, documents = windows.read(text, np.arange(len(windows)))
  assert tokens.shape == (len(windows), T + 1)
  assert weights.shape == documents.shape == (len(windows), T)
  counted = weights > 0
  want = np.ones(len(text), int)
  want[offsets[:-1]] = 0
  targets = tokens[:, 1:][counted]
  np.testing.assert_array_equal(np.bincount(targets, minlength=len(text)), want)
  # A target follows its input, of the same document and of the same number.
  np.testing.assert_array_equal(targets - tokens[:, :-1][counted], 1)
  of = np.searchsorted(offsets, np.arange(len(text)), side='right')
  assert (of[targets] == of[targets - 1]).all()
  # One of T targets or fewer lies in one window, with no gap.
  row = np.broadcast_to(np.arange(len(windows))[:, None], counted.shape)
  window = np.zeros(len(text), int)
  window[targets] = row[counted]
  for a, n in zip(offsets[:-1], lengths, strict=True):
    assert len({*window[a + 1 : a + n]}) == (n - 1 + T - 1) // T
  assert windows.split == sum(n - 1 > T for n in lengths)
  assert windows.left_out == sum(n == 1 for n in lengths)


@given(lengths=LENGTHS, T=st.integers(1, 16))
@settings(deadline=None)
def test_numbers_say_which_inputs_are_of_one_document(lengths, T):
  offsets = offsets_of([*lengths, 2])
  text = np.arange(1, offsets[-1] + 1, dtype=np.uint16)  # 0 is padding
  windows = packed.pack(offsets, T)
  tokens, _, documents = windows.read(text, np.arange(len(windows)))
  inputs = tokens[:, :-1]
  np.testing.assert_array_equal(documents == packed.PADDING, inputs == 0)
  of = np.searchsorted(offsets, inputs - 1, side='right')
  for number, document, known in zip(documents, of, inputs > 0, strict=True):
    pairs = {*zip(number[known], document[known], strict=True)}
    assert len(pairs) == len({n for n, _ in pairs})
    assert len(pairs) == len({d for _, d in pairs})
    assert (np.diff(number[known]) >= 0).all()
  empty = (tokens == 0).mean()
  np.testing.assert_allclose(windows.padding, empty, atol=1e-12)


OFFSETS = offsets_of(np.random.default_rng(0).integers(1, 30, 100))
TEXT = np.arange(1, OFFSETS[-1] + 1, dtype=np.uint16)


def stream(B=4, T=20, seed=0, **kw):
  return batches(
    TEXT, B=B, T=T, seed=seed, documents=OFFSETS, pack=True, **kw
  )  # fmt: skip


def test_an_epoch_reads_every_target_once_and_epochs_differ():
  n = len(packed.pack(OFFSETS, 20))
  B = max(b for b in range(1, 9) if n % b == 0)
  s, orders = stream(B), []
  for epoch in range(3):
    read = [s[k] for k in range(epoch * n // B, (epoch + 1) * n // B)]
    targets = np.concatenate([b.tokens[:, 1:][b.weights > 0] for b in read])
    np.testing.assert_array_equal(
      np.sort(targets), np.setdiff1d(TEXT, OFFSETS[:-1] + 1)
    )
    orders.append(targets)
  assert (orders[0] != orders[1]).any() and (orders[1] != orders[2]).any()


@pytest.mark.parametrize('count', [1, 2, 4])
def test_processes_read_the_rows_of_one_batch(count):
  whole = stream(B=8)
  parts = [
    stream(B=8, process_index=i, process_count=count) for i in range(count)
  ]
  for k in (0, 1, 11, 1000):
    for i, x in enumerate(whole[k]):
      rows = [p[k][i] for p in parts]
      assert all(len(r) == 8 // count for r in rows)
      np.testing.assert_array_equal(np.concatenate(rows), x)


def test_a_batch_is_a_function_of_its_number():
  s, anew = stream(), stream()
  read = [s[k] for k in range(30)]
  for k in np.random.default_rng(0).permutation(30).tolist():
    for a, b in zip(anew[k], read[k], strict=True):
      np.testing.assert_array_equal(a, b)


def test_parts_of_a_mixture_share_no_window():
  parts = OFFSETS[[0, 60, 100]]
  s = stream(B=10, parts=parts, weights=(0.2, 0.8))
  for k in range(5):
    tokens = s[k].tokens
    first = ((tokens > 0) & (tokens <= parts[1])).any(1)
    assert first.sum() == 2
    assert (tokens[first] <= parts[1]).all()
  seen = np.concatenate(
    [s[k].tokens[:, 1:][s[k].weights > 0] for k in range(60)]
  )
  assert {*np.setdiff1d(TEXT, OFFSETS[:-1] + 1)} == {*seen.tolist()}


def test_a_text_too_short_for_a_batch_is_named():
  n = len(packed.pack(OFFSETS, 20))
  stream(B=n)[0]
  with pytest.raises(ValueError, match=f'allow at most B = {n}$'):
    stream(B=n + 1)
  with pytest.raises(ValueError, match='give their offsets'):
    batches(TEXT, B=1, T=4, seed=0, pack=True)
  one = np.array([0, 1, 2])
  with pytest.raises(ValueError, match='2 documents of one token each'):
    batches(TEXT[:2], B=1, T=4, seed=0, documents=one, pack=True)


@given(lengths=LENGTHS, targets=st.integers(1, 400))
def test_a_beginning_has_so_many_targets(lengths, targets):
  offsets = offsets_of(lengths)
  some = packed.beginning(offsets, targets)
  total = sum(n - 1 for n in lengths)
  assert (np.diff(some) - 1).sum() == min(targets, total)
  np.testing.assert_array_equal(some[:-1], offsets[: len(some) - 1])
  assert some[-1] <= offsets[len(some) - 1]


@pytest.mark.parametrize('windows', data.WINDOWS)
def test_validation_reads_as_training_does(write, tmp_path, windows):
  text = '\n\n'.join('abcdefghij'[: 2 + i % 9] for i in range(90))
  root = write({'train.txt': text, 'valid.txt': text, 'test.txt': text})
  made = data.prepare(
    source=f'files:{root}', separator='blank', windows=windows,
    cache=str(tmp_path / 'cache'),
  )  # fmt: skip
  tokens, offsets = made.tokens('valid'), made.offsets('valid')
  read = made.beginning('valid', 8, 100)
  if windows == 'contiguous':
    np.testing.assert_array_equal(read[:, 1:].ravel(), tokens[1:97])
    return
  documents = [tokens[a:b].tolist() for a, b in itertools.pairwise(offsets)]
  left, want = 100, []
  for ids in documents:
    want += [*itertools.pairwise(ids)][:left]
    left = 100 - len(want)
  counted = read.weights > 0
  pairs = zip(
    read.tokens[:, :-1][counted], read.tokens[:, 1:][counted], strict=True
  )
  assert sorted(pairs) == sorted(want)


def test_what_was_packed_is_said(write, tmp_path):
  parts = ['abcdefghij' * i for i in range(1, 9)]
  text = '\n\n'.join(parts)
  root = write({'train.txt': text, 'valid.txt': text, 'test.txt': text})
  made = data.prepare(
    source=f'files:{root}', separator='blank', windows='packed',
    cache=str(tmp_path / 'cache'),
  )  # fmt: skip
  windows = packed.pack(made.offsets('train'), 50)
  said = made.summary(50)
  assert f'{len(windows)} packed windows of 50: 8 documents, ' in said
  assert '4 longer ones split, 0 of one token left out' in said
  assert f'{windows.padding:.2%} padding' in said
  read = made.batches(B=len(windows), T=50, seed=0)[0]
  counted = read.weights > 0
  assert counted.sum() == len(made.tokens('train')) - 8
  want = made.tokens('train')[np.setdiff1d(*_ends(made.offsets('train')))]
  np.testing.assert_array_equal(
    np.sort(read.tokens[:, 1:][counted]), np.sort(want)
  )


def _ends(offsets):
  """All places of a text, and those where a document begins."""
  return np.arange(offsets[-1]), offsets[:-1]
