"""Textures and digits: what is read is what the packages have."""

import itertools
import sys

import numpy as np
import pytest
from scipy import interpolate

from extrapolation.data import tasks
from extrapolation.data.tasks import canvas, digits, texture

EXTRA = 'the extra `images`, which `test` has too, is not installed'


@pytest.mark.parametrize(
  'spec, package', [('texture', 'skimage'), ('digits', 'sklearn')]
)
def test_a_package_that_is_missing_is_one_line(monkeypatch, spec, package):
  monkeypatch.setitem(sys.modules, package, None)
  with pytest.raises(ValueError) as e:
    tasks.parse(spec)
  assert str(e.value) == (
    f"task {spec} needs the extra `images`: pip install 'extrapolation[images]'"
  )


def test_levels_are_as_frequent_and_parts_are_the_picture():
  data = pytest.importorskip('skimage.data', reason=EXTRA)
  for name, along in (('brick', 0), ('coins', 1)):
    parts = [texture._part(name, 4, split) for split in texture.ENDS]
    ids = np.concatenate(parts, along)
    pixels = getattr(data, name)()
    assert ids.shape == pixels.shape
    assert [p.shape[along] for p in parts] == [
      ids.shape[along] // k for k in (2, 4, 4)
    ]
    order = np.argsort(pixels.ravel(), kind='stable')
    assert (np.diff(ids.ravel()[order].astype(int)) >= 0).all()
    # An equal grey is in one level, which may so have more than its share.
    ties = np.bincount(pixels.ravel()).max() / pixels.size
    assert abs(np.bincount(ids.ravel()) / ids.size - 1 / 4).max() <= ties


def test_every_picture_is_there_without_a_download(monkeypatch):
  pytest.importorskip('skimage', reason=EXTRA)
  monkeypatch.setitem(sys.modules, 'pooch', None)
  monkeypatch.delenv('PYTEST_CURRENT_TEST')  # it skips where it needs pooch
  texture._part.cache_clear()
  for name in texture.PICTURES:
    task = tasks.parse(f'texture:picture={name}')
    e = task.draw(0, (16, 32), within=(16, 32), stream='test', seed=0)
    assert len({*e.targets.tolist()}) > 1
  doc = ' '.join(texture.make.__doc__.split())
  assert ', '.join(texture.PICTURES) in doc


def test_crops_lie_in_their_part_around_the_smallest():
  pytest.importorskip('skimage', reason=EXTRA)
  task = tasks.parse('texture')
  for split in texture.ENDS:
    part = texture._part('brick', 16, split)
    windows = np.lib.stride_tricks.sliding_window_view(part, (96, 96))
    for number in range(3):
      e = task.draw(
        number, (96, 96), within=(16, 32), stream=split, seed=0
      )  # fmt: skip
      crop = e.targets.reshape(96, 96)
      starts = np.argwhere(windows[:, :, 0, 0] == crop[0, 0])
      assert any((windows[tuple(at)] == crop).all() for at in starts)


@pytest.mark.parametrize('length', [0, 40])
def test_a_crop_is_in_all_larger_ones(length):
  within = 7
  for at in range(0, 34 if length else 1):
    ends = [
      (s := canvas.first(at, size, within, length), s + size)
      for size in range(within, 41)
    ]
    assert ends[0] == (at, at + within)
    for (a, b), (c, d) in itertools.pairwise(ends):
      assert c <= a and b <= d
      assert not length or 0 <= c < d <= length


def test_digits_are_split_once():
  load = pytest.importorskip('sklearn.datasets', reason=EXTRA).load_digits
  parts = [digits._digits(split) for split in digits.SHARES]
  assert [len(p.classes) for p in parts] == [1198, 299, 300]
  together = np.concatenate([p.pictures.reshape(-1, 64) for p in parts])
  want = load().data
  assert sorted(map(tuple, together)) == sorted(map(tuple, want))


def test_digits_of_the_test_come_in_order_and_of_the_training_at_random():
  pytest.importorskip('sklearn', reason=EXTRA)
  task, of = tasks.parse('digits'), digits._digits('test')
  for number in (0, 7, 300 + 7):
    e = task.draw(number, (8, 8), within=(8, 8), stream='test', seed=number)
    assert e.targets[0] == of.classes[number % 300]
    np.testing.assert_array_equal(e.inputs, of.pictures[number % 300].ravel())
  several = {
    tuple(
      task.draw(n, (8, 8), within=(8, 8), stream='train', seed=0).inputs
    )
    for n in range(100)
  }  # fmt: skip
  # Of 1,198 with replacement, 96 are others: 4.1 are drawn again, within 4.
  assert 88 <= len(several) <= 100


@pytest.mark.parametrize('size', [(8, 8), (16, 12), (5, 23), (96, 96)])
def test_digits_at_another_size_are_interpolated(size):
  """Linearly between centres, as scipy's interpolator does; ends are held."""
  pytest.importorskip('sklearn', reason=EXTRA)
  picture = digits._digits('train').pictures[3]
  centres = np.arange(8) + 0.5
  f = interpolate.RegularGridInterpolator((centres, centres), picture)
  at = [
    np.clip((np.arange(n) + 0.5) * 8 / n, centres[0], centres[-1]) for n in size
  ]
  want = f(tuple(np.meshgrid(*at, indexing='ij')))
  got = digits.resized(picture, size)
  assert got.shape == size and abs(got - want).max() <= 0.5 + 1e-9


def test_a_split_that_there_is_not():
  pytest.importorskip('skimage', reason=EXTRA)
  pytest.importorskip('sklearn', reason=EXTRA)
  for name, size in (('texture', (16, 32)), ('digits', (8, 8))):
    with pytest.raises(ValueError, match='has the splits train, valid, test'):
      tasks.parse(name).draw(0, size, within=size, stream='mixture', seed=0)
