import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extrapolation.data import batches, pipeline
from tests import pace

STREAM = np.arange(1000, dtype=np.uint16)


def first_tokens(stream, batch_count):
  return np.concatenate([stream[k][:, 0] for k in range(batch_count)])


def test_every_target_is_the_next_token():
  stream = batches(STREAM, B=4, T=10, seed=0)
  for k in range(30):
    batch = stream[k]
    assert batch.shape == (4, 11) and batch.dtype == np.int32
    assert (np.diff(batch) == 1).all()
    assert (batch[:, 0] % 10 == 0).all()


def test_an_epoch_reads_every_window_once_and_epochs_differ():
  windows = 99  # (1000 - 1) // 10
  stream = batches(STREAM, B=9, T=10, seed=0)
  epochs = [
    np.concatenate([stream[k][:, 0] for k in range(e * 11, e * 11 + 11)])
    for e in range(3)
  ]
  for epoch in epochs:
    np.testing.assert_array_equal(np.sort(epoch), np.arange(windows) * 10)
    assert (np.diff(epoch) != 10).any()
  assert (epochs[0] != epochs[1]).any() and (epochs[1] != epochs[2]).any()


def test_epochs_do_not_end_with_a_short_batch():
  stream = batches(STREAM, B=7, T=10, seed=0)
  read = np.concatenate([stream[k][:, 0] for k in range(99)])
  np.testing.assert_array_equal(np.bincount(read // 10), [7] * 99)


def test_all_but_the_first_token_are_targets():
  stream = batches(STREAM, B=111, T=9, seed=0)
  np.testing.assert_array_equal(np.sort(stream[0][:, 1:].ravel()), STREAM[1:])


def test_indexing_is_iterating_in_any_order():
  stream = batches(STREAM, B=4, T=9, seed=3)
  sequential = list(itertools.islice(stream, 80))
  anew = batches(STREAM, B=4, T=9, seed=3)
  for k in np.random.default_rng(0).permutation(80).tolist():
    np.testing.assert_array_equal(anew[k], sequential[k])


def test_seeds_give_other_orders_and_equal_seeds_the_same():
  orders = [
    first_tokens(batches(STREAM, B=9, T=10, seed=s), 11) for s in (0, 1)
  ]
  assert (orders[0] != orders[1]).any()
  again = first_tokens(batches(STREAM, B=9, T=10, seed=0), 11)
  np.testing.assert_array_equal(again, orders[0])


@pytest.mark.parametrize('count', [1, 2, 4])
def test_processes_read_the_rows_of_one_batch(count):
  whole = batches(STREAM, B=8, T=10, seed=0)
  parts = [
    batches(STREAM, B=8, T=10, seed=0, process_index=i, process_count=count)
    for i in range(count)
  ]
  for k in (0, 1, 11, 12, 1000):
    assert all(len(p[k]) == 8 // count for p in parts)
    np.testing.assert_array_equal(
      np.concatenate([p[k] for p in parts]), whole[k]
    )


@given(n=st.integers(2, 300), B=st.integers(1, 20), T=st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_any_size_works_or_names_the_largest(n, B, T):
  tokens = STREAM[:n]
  most_T, most_B = n - 1, (n - 1) // T
  if T > most_T:
    with pytest.raises(ValueError, match=f'at most T = {most_T}$'):
      batches(tokens, B=B, T=T, seed=0)
  elif most_B < B:
    with pytest.raises(ValueError, match=f'at most B = {most_B}, or') as error:
      batches(tokens, B=B, T=T, seed=0)
    at_this_B = int(str(error.value).rsplit(' ', 1)[1])
    assert (n - 1) // B == at_this_B
    if at_this_B:
      batches(tokens, B=B, T=at_this_B, seed=0)[0]
  else:
    assert (np.diff(batches(tokens, B=B, T=T, seed=0)[5]) == 1).all()


@pytest.mark.parametrize(
  'changed, says',
  [
    (dict(B=0), 'B = 0 must be at least 1'),
    (dict(T=0), 'T = 0 must be at least 1'),
    (dict(T=-5), 'T = -5'),
    (dict(process_count=0), 'process_count = 0'),
    (dict(process_count=3), 'B = 8 must be a multiple of process_count = 3'),
    (dict(process_count=2, process_index=2), 'process_index = 2 less than'),
    (dict(process_index=-1), 'process_index = -1'),
    (dict(seed=-1), 'seed = -1'),
    (dict(seed=2**32), 'seed = 4294967296'),
  ],
)
def test_bad_arguments(changed, says):
  arguments = dict(B=8, T=10, seed=0) | changed
  with pytest.raises(ValueError, match=says):
    batches(STREAM, **arguments)


def test_reading_is_cheap(tmp_path):
  path = tmp_path / 'tokens'
  np.arange(5_000_000, dtype=np.uint16).tofile(path)
  tokens = np.memmap(path, np.uint16, mode='r')
  stream = batches(tokens, B=16, T=512, seed=0)
  batch = itertools.count()

  def read():
    for k in itertools.islice(batch, 50):
      stream[k]

  # 5 M tokens/s is the promise; here it is tens of millions.
  pace.within(50 * 16 * 512 / 5e6, read, trials=5)


def offsets_of(lengths):
  return np.cumsum([0, *lengths])


@given(
  lengths=st.lists(st.integers(1, 25), min_size=1, max_size=9),
  T=st.integers(1, 12),
)
@settings(max_examples=30, deadline=None)
def test_windows_within_documents(lengths, T):
  offsets = offsets_of(lengths)
  tokens = np.arange(offsets[-1], dtype=np.uint16)
  kept = [i for i, n in enumerate(lengths) if n > T]
  short, lost, twice = pipeline.left_out(offsets, T)
  assert short == len(lengths) - len(kept)
  assert lost == sum(n for n in lengths if n <= T)
  if len(tokens) < 2:
    return
  if not kept:
    with pytest.raises(ValueError, match='T = .* is longer than every doc'):
      batches(tokens, B=1, T=T, seed=0, documents=offsets)
    return
  count = sum(-(-(lengths[i] - 1) // T) for i in kept)
  rows = batches(tokens, B=count, T=T, seed=0, documents=offsets)[0]
  assert (np.diff(rows) == 1).all()
  document = np.searchsorted(offsets, rows, side='right')
  assert (document == document[:, :1]).all()  # no window crosses
  seen = np.bincount(rows[:, 1:].ravel(), minlength=len(tokens))
  for i, n in enumerate(lengths):
    mine = seen[offsets[i] + 1 : offsets[i + 1]]
    assert (mine >= 1).all() if n > T else not mine.any()
    assert mine.max(initial=0) <= 2
  assert (seen == 2).sum() == twice
  with pytest.raises(ValueError, match=f'allow at most B = {count}$'):
    batches(tokens, B=count + 1, T=T, seed=0, documents=offsets)


@pytest.mark.parametrize('documents', [None, offsets_of([100] * 10)])
def test_a_mixture_is_read_by_its_weights(documents):
  kw = dict(B=100, T=3, documents=documents, weights=(0.2, 0.8))
  stream = batches(STREAM, seed=0, parts=np.array([0, 700, 1000]), **kw)
  rows = np.concatenate([stream[k] for k in range(5)])
  assert (np.diff(rows) == 1).all()
  first = (rows < 700).all(1)
  assert first.sum() == 100 and (rows[~first] >= 700).all()
  # Each part has epochs of its own, and all of it is read.
  starts = rows[~first][:, 0]
  windows = len(np.unique(starts))
  assert windows == 99
  for epoch in range(len(starts) // windows):
    part = starts[epoch * windows : (epoch + 1) * windows]
    assert len(np.unique(part)) == windows
  whole = stream[17]
  halves = [
    batches(
      STREAM, seed=0, parts=np.array([0, 700, 1000]),
      process_index=i, process_count=2, **kw,
    )[17]
    for i in range(2)
  ]  # fmt: skip
  np.testing.assert_array_equal(np.concatenate(halves), whole)
  assert stream[10**12].shape == (100, 4)


def test_a_part_too_small_for_a_window():
  with pytest.raises(ValueError, match='part 2 of the mixture has no window'):
    batches(
      STREAM, B=1, T=50, seed=0,
      parts=np.array([0, 970, 1000]), weights=(0.5, 0.5),
    )  # fmt: skip
