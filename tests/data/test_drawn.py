"""Tasks as data sets: batches, manifests, and what is not theirs."""

import jax
import numpy as np
import pytest

from extrapolation import data

SOURCE = 'ising:side=24:sweeps=20'


def made(source=SOURCE, size=(6, 8), **options):
  return data.prepare(source=source, **options).at(size)


def test_a_batch_is_examples_in_order_however_many_processes_read_it():
  text = made()
  whole = text.batches(B=4, T=48, seed=3)[5]
  parts = [
    text.batches(B=4, T=48, seed=3, process_index=i, process_count=2)[5]
    for i in range(2)
  ]
  joined = jax.tree.map(lambda *x: np.concatenate(x), *parts)
  for got, want in zip(joined[:3], whole[:3], strict=True):
    np.testing.assert_array_equal(got, want)
  cells, _ = text.read(range(20, 24), (6, 8), (6, 8), stream='train', seed=3)
  np.testing.assert_array_equal(whole.inputs, cells.inputs)
  assert whole.source is None
  other = text.batches(B=4, T=48, seed=4)[5]
  assert (other.inputs != whole.inputs).any()


def test_a_manifest_says_which_generator_draws_it():
  same, other = (
    data.prepare(source=source).manifest
    for source in (SOURCE, 'ising:side=24:sweeps=20:beta=0.5')
  )
  again = data.prepare(source=f'task:{SOURCE}', expect=same)
  assert again.tokenizer.V == 5
  with pytest.raises(ValueError, match='its train split has changed'):
    data.prepare(source=SOURCE, expect=other)


def test_a_sequence_has_what_the_encoder_reads():
  text = made('copy:symbols=4', (5,))
  (batch,) = [text.batches(B=2, T=5, seed=0)[0]]
  assert batch.source is not None
  np.testing.assert_array_equal(batch.source, batch.targets)
  np.testing.assert_array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])


@pytest.mark.parametrize(
  'source, shown',
  [(SOURCE, '      answers: '), ('tree', '?'), ('copy', 'costs 0.000 nats')],
)
def test_a_summary_shows_an_example(source, shown):
  text = data.prepare(source=source).summary()
  assert shown in text and 'nats of a uniform guess' in text


@pytest.mark.parametrize(
  'source, options, said',
  [
    (SOURCE, dict(tokenizer='bpe'), 'has ids of its own, not tokens of'),
    (SOURCE, dict(separator='blank'), 'takes no data.separator = blank'),
    ('ising:beta=2', {}, 'beta = 2'),
    ('task:isling', {}, "no task 'isling' (did you mean 'ising'?)"),
    ('ising:temperature=1', {}, "has no hyperparameter 'temperature'"),
  ],
)
def test_what_a_task_does_not_take_is_one_line(source, options, said):
  with pytest.raises(ValueError) as e:
    data.prepare(source=source, **options)
  assert said in str(e.value) and '\n' not in str(e.value)


def test_a_task_has_no_text():
  with pytest.raises(ValueError, match='it is scored by size'):
    made().tokens('test')


@pytest.fixture(scope='module')
def masked(tmp_path_factory):
  """A text of numbers in which a token tells where it stands."""
  path = tmp_path_factory.mktemp('text')
  for split in ('train', 'valid', 'test'):
    words = ' '.join(str(i) for i in range(900))
    (path / f'{split}.txt').write_text(words)
  source = f'masked:0.2*files:{path}'
  return data.prepare(source=source, cache=str(path / 'cache'))


@pytest.mark.parametrize('stream', ['train', 'test'])
def test_masked_tokens_are_the_same_at_every_size(masked, stream):
  one = masked.task
  for number in (0, 7, 400):  # the last one beyond the blocks of the text
    examples = [
      one.draw(number, (n,), within=(16,), stream=stream, seed=1)
      for n in (16, 24, 64)
    ]
    asked = [x.targets[x.weights > 0].tolist() for x in examples]
    assert asked[0] == asked[1] == asked[2] and len(asked[0]) == 3
    seen = [bytes(x.inputs.clip(0, 255).astype(np.uint8)) for x in examples]
    assert seen[0] in seen[1] and seen[1] in seen[2]
    for x in examples:
      hidden = x.inputs == one.mask
      assert hidden[x.weights > 0].all()
      np.testing.assert_array_equal(x.inputs[~hidden], x.targets[~hidden])


def test_as_many_tokens_are_masked_around_a_block_as_in_it(masked):
  cells, _ = masked.read(range(64), (256,), (16,), stream='train')
  assert abs((cells.inputs == masked.task.mask).mean() - 0.2) < 0.02


@pytest.mark.parametrize(
  'source, said',
  [
    ('masked:0.7*sample', '0.7 is no share of tokens in (0, 0.5]'),
    ('masked:1e999*sample', 'is no share of tokens'),
    ('masked:nothing', 'nothing'),
  ],
)
def test_a_text_that_cannot_be_masked_is_one_line(source, said):
  with pytest.raises((ValueError, OSError)) as e:
    data.prepare(source=source)
  assert said in str(e.value) and '\n' not in str(e.value)


def test_a_size_that_a_text_does_not_have_is_one_line(masked):
  for size, said in (((9999,), 'a size is one number from 2'), ((4, 4), '4x4')):
    with pytest.raises(ValueError, match=said):
      masked.at(size)
