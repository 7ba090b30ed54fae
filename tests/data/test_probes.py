"""Laws that every probe obeys; a new file is under all of them."""

import itertools

import numpy as np
import pytest

from extrapolation.data import probes
from extrapolation.data.probes import base, vocabulary
from tests import pace

MANY = 200
# Some have other hyperparameters than their own, so that these are read too.
SPECS = [*probes.names(), 'needle:keys=8', 'recall:pairs=2', 'flipflop:p=0.98']


@pytest.fixture(params=SPECS)
def probe(request):
  return probes.parse(request.param)


def drawn(probe, length, count=MANY, **kw):
  return [probes.example(probe, n, length, **kw) for n in range(count)]


def queries(example):
  return np.flatnonzero(example.weights)


def lengths(probe):
  return probe.least_length, probe.least_length + 9, 131


def cases(probe):
  """(length, distance) at which laws are looked at."""
  for length in lengths(probe):
    yield length, None
    there = probe.distances(length)
    for distance in {there[0], there[len(there) // 3], there[-1]}:
      yield length, distance


def test_the_oracle_is_always_right(probe):
  for length, distance in cases(probe):
    count = MANY if length < 100 and distance is None else 20
    for e in drawn(probe, length, count, distance=distance):
      tokens = e.tokens.tolist()
      assert len(tokens) == length + 1 and e.weights.sum() > 0
      for i in queries(e):
        assert probe.oracle(tokens[: i + 1]) == tokens[i + 1]


def test_a_guess_is_right_in_one_of_the_possible_answers(probe):
  rng, right, total = np.random.default_rng(0), 0, 0
  for e in drawn(probe, 131):
    answers = e.tokens[1:][e.weights > 0]
    assert np.isin(answers, probe.answers).all()
    guesses = rng.integers(probe.answers.start, probe.answers.stop,
                           len(answers))  # fmt: skip
    right, total = right + (guesses == answers).sum(), total + len(answers)
  p = probe.chance
  assert abs(right - total * p) < 4 * np.sqrt(total * p * (1 - p))


def test_more_length_is_more_filler_in_front(probe):
  shortest = probe.least_length
  distance = probe.distances(shortest)[-1]
  for n, kw in itertools.product(range(20), ({}, dict(distance=distance))):
    series = [
      probes.example(probe, n, length, within=shortest, **kw)
      for length in lengths(probe)
    ]
    for short, long in itertools.pairwise(series):
      for a, b in zip(short, long, strict=True):
        np.testing.assert_array_equal(a, b[len(b) - len(a) :])
      front = len(long.weights) - len(short.weights)
      assert not long.weights[:front].any()
      assert (long.distance[:front] == base.NONE).all()


def test_the_token_at_the_distance_tells_the_answer(probe):
  """It is the answer, or the first of those between the marks."""
  for length, distance in cases(probe):
    for e in drawn(probe, length, 20, distance=distance):
      at = queries(e)
      far = e.distance[at]
      np.testing.assert_array_equal(np.flatnonzero(e.distance >= 0), at)
      if distance is not None:
        assert (far == distance).all()
      if probe.points:
        np.testing.assert_array_equal(e.tokens[at - far], e.tokens[at + 1])
      else:
        opening = e.tokens[at - far - 1]
        assert (opening == probe.vocabulary.id('<')).all()


@pytest.mark.parametrize('name', ['needle', 'recall', 'induction'])
def test_the_answer_stands_nowhere_else(name):
  """But at the distance: it could be found by other means."""
  probe = probes.parse(name)
  for e in drawn(probe, 131, 50):
    tokens = e.tokens.tolist()
    for i in queries(e):
      if name == 'needle':
        where = [j for j in range(i) if tokens[j] in probe.vocabulary['values']]
      else:
        where = [j + 1 for j in range(i) if tokens[j] == tokens[i]]
      assert where == [i - e.distance[i]]


def test_distances_are_all_that_there_are_and_grow_with_the_length(probe):
  before: set[int] = set()
  for length in range(1, probe.least_length + 40):
    there = set(probe.distances(length))
    assert before <= there and bool(there) == (length >= probe.least_length)
    before = there
  length = probe.least_length + 4
  there = set(probe.distances(length))
  examples = drawn(probe, length, 300)
  assert all(there & {*e.distance.tolist()} for e in examples)
  for distance in there:
    e = probes.example(probe, 0, length, distance=distance)
    assert set(e.distance.tolist()) == {base.NONE, distance}
  if probe.draw is base.uniform:
    assert there <= {d for e in examples for d in e.distance.tolist()}


def test_only_answers_have_weight(probe):
  for e in drawn(probe, 131, 30):
    assert set(np.unique(e.weights)) <= {0, 1}
    assert e.tokens.dtype == np.int32 and e.weights.dtype == np.float32
    assert e.weights[-1] == 1  # the last token of all is an answer
    assert 0 <= e.tokens.min() and e.tokens.max() < len(probe.vocabulary)


def test_an_example_is_its_number_and_seed(probe):
  def text(n, **kw):
    e = probes.example(probe, n, 131, **kw)
    return probe.vocabulary.text(e.tokens)

  assert text(3) == text(3)
  numbers = {text(n) for n in range(30)}
  seeds = {text(3, seed=seed) for seed in range(1, 31)}
  streams = {text(3, stream=s) for s in base.STREAMS}
  assert len(numbers | seeds) == 60 and len(streams) == len(base.STREAMS)


def test_a_vocabulary_is_readable_and_fits_in_bytes(probe):
  words = probe.vocabulary
  assert len({*words.symbols}) == len(words) <= 256
  assert all(x.isprintable() and not x.isspace() for x in words.symbols)
  assert words.symbols.isascii()
  covered = [i for ids in words.groups.values() for i in ids]
  assert len(covered) == len({*covered}) and 'filler' in words.groups


@pytest.mark.parametrize('name', probes.names())
def test_a_probe_is_drawn_as_it_is(name):
  """The oracle answers the example in its docstring; its source is named."""
  probe = probes.parse(name)
  with open(probes.REGISTRY.file_of(name)) as file:
    drawing = next(x for x in file if x.startswith(' ' * 6)).split()[0]
  ids = [probe.vocabulary.id(symbol) for symbol in drawing]
  assert probe.oracle(ids[:-1]) == ids[-1] in probe.answers
  assert 'arXiv' in probe.source


def test_a_moved_needle_is_the_same_needle():
  probe = probes.parse('needle:keys=8')
  for n in range(20):
    shown = {
      tuple(probes.example(probe, n, 64, distance=d).tokens[-2:].tolist())
      for d in (None, 1, 5, 60)
    }
    assert len(shown) == 1


def test_flip_flops_are_as_far_as_the_language_has_them():
  """The share of w is 0.1 of the pairs: a geometric number of others."""
  probe = probes.parse('flipflop')
  far = np.array([e.distance.max() for e in drawn(probe, 1001, 2000)])
  between = (far - 1) / 2
  assert abs(between.mean() - 9) < 4 * np.sqrt(90 / 2000)


def test_every_read_of_a_flip_flop_is_right_and_an_answer():
  probe = probes.parse('flipflop:p=0.3')
  for e in drawn(probe, 100, 30):
    text, written = probe.vocabulary.text(e.tokens)[-100:], ''
    for i, (mark, bit) in enumerate(zip(text[::2], text[1::2], strict=True)):
      written = bit if mark == 'w' else written
      assert (mark == 'r') == bool(e.weights[2 * i + 1])
      assert mark != 'r' or bit == written


def test_large_vocabularies_are_readable():
  words = vocabulary.build('?', filler=100, values=60, keys=90)
  assert len({*words.symbols}) == 251 and words.symbols.isprintable()


@pytest.mark.parametrize(
  'spec, says',
  [
    ('nedle', "no probe 'nedle' .did you mean 'needle'.*there are: copy, "),
    ('needle:value=3', "'value'; it has: values, filler, keys"),
    ('needle:values=x', "needle: values: 'x' is no whole number"),
    ('needle:values=1', 'values = 1: probe needle needs 2 or more'),
    ('needle:keys=-1', 'keys = -1: probe needle needs 0 or more'),
    ('needle:values=400', '400 values .* symbols; at most 256, so make one'),
    ('needle:filler=0', 'filler = 0: needs 1 or more'),
    ('recall:pairs=17', 'pairs = 17: .* keys, which are 16'),
    ('recall:values=1', 'values = 1'),
    ('flipflop:p=1', 'p = 1.0: probe flipflop needs 0 <= p < 1'),
    ('induction:letters=2', 'letters = 2: probe induction needs 3'),
  ],
)
def test_bad_specs(spec, says):
  with pytest.raises(ValueError, match=says) as error:
    probes.parse(spec)
  assert '\n' not in str(error.value)


def test_lengths_and_distances_that_do_not_fit():
  probe = probes.parse('recall')
  with pytest.raises(ValueError, match='no room at length 44; it needs 45 or'):
    probes.example(probe, 0, 44)
  with pytest.raises(ValueError, match='distance 99 at length 64; there are '
                                       '29 .. 48$'):  # fmt: skip
    probes.example(probe, 0, 64, distance=99)
  with pytest.raises(ValueError, match='1 .. 125 in steps of 2$'):
    probes.example(probes.parse('flipflop'), 0, 128, distance=2)


def test_a_batch_takes_a_few_milliseconds():
  probe, examples = probes.parse('needle'), itertools.count()

  def batch():
    for n in itertools.islice(examples, 64):
      probes.example(probe, n, 128)

  pace.within(0.02, batch, trials=5)
