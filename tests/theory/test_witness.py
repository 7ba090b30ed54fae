"""Texts on which a window is wrong, through the project's own attention."""

import numpy as np
import pytest

from extrapolation import rpe, theory
from extrapolation.attention import attend, reference
from extrapolation.theory import __main__ as main
from extrapolation.theory import subjects, witness
from extrapolation.theory.errors import NotProved, UndefinedTotal
from extrapolation.theory.signs import signs


@pytest.mark.parametrize(
  'name, w, errors',
  [
    ('harmonic', 8, (1.85089, 1.97825)),
    ('none', 64, (1.96875, 1.96875)),
    ('sandwich', 64, (0.02779, 1.12054)),
  ],
)
def test_the_error_through_attend(name, w, errors):
  """2 (1 - B_w / B_4096) to five digits, in float32."""
  heads = subjects.heads(rpe.get(name, 2))
  for root, value in zip(heads, errors, strict=True):
    made = witness.make(root, w, 4096)
    assert float(made.error.mid()) == pytest.approx(value, abs=5e-6)
    assert float(made.error.rad()) < 1e-9
    assert witness.checked(root, made) == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize('n', [300, pytest.param(9000, marks=pytest.mark.slow)])
def test_both_ways_of_checking_agree_with_the_definition(n):
  """All queries up to 8,192 tokens, from a cache beyond; float64 by hand."""
  (root,) = subjects.heads('-log(1+t/7)')
  made = witness.make(root, 20, n)
  q, k, v = made.arrays().values()
  b = -np.log1p(np.arange(n) / 7)
  a = np.exp(b)
  o = (a * v[0, ::-1, 0, 0]).sum() / a.sum()
  assert witness.checked(root, made) == pytest.approx(abs(1 - o), abs=1e-5)
  if n == 300:
    table = np.asarray(b[None], np.float32)
    full = reference.attend(q, k, v, table)[0][0, -1, 0, 0]
    cut = attend(q, k, v, table, window=20)[0, -1, 0, 0]
    assert float(abs(full - cut)) == pytest.approx(abs(1 - o), abs=1e-5)


def test_the_shortest_text_is_the_shortest():
  (root,) = subjects.heads('-log(1+t)')
  made = witness.make(root, 5)
  B = np.cumsum(1 / (1.0 + np.arange(200)))
  assert made.n == 1 + int(np.argmax(B >= 2 * B[4]))
  assert witness.make(root, 5, made.n - 1).error < 1 <= made.error


def test_files_are_the_text_and_its_proof(capsys, tmp_path):
  flags = '--witness', '--window=32', f'--out={tmp_path / "new"}'
  main.main(['--rpe=harmonic', '--heads=4', *flags])
  out = capsys.readouterr().out
  (text,) = (tmp_path / 'new').glob('*.md')
  assert text.read_text() in out and '||o - o_w|| = 2 (1 - B_w / B_n)' in out
  arrays = np.load(text.with_suffix('.npz'))
  heads = subjects.heads(rpe.get('harmonic', 4))
  lengths = [witness.n_half(root, 32).low for root in heads]
  n, i = min(lengths), int(np.argmin(lengths))
  assert f'harmonic, head {i + 1}:' in out  # the one with the shortest text
  assert arrays['v'].shape == (1, n, 1, 1) and arrays['v'].sum() == 64 - n
  encoding = rpe.get('harmonic', 4)
  table = encoding.bias(np.arange(n), {})[i : i + 1]
  o = attend(*(arrays[x] for x in 'qkv'), table)
  assert float(arrays['v'][0, -1, 0, 0] - o[0, -1, 0, 0]) >= 1


def test_where_there_is_none_the_largest_error_is_told(capsys, tmp_path):
  """e^{-t/256}: T_w / B = e^{-w/256}, w = 512."""
  flags = '--witness', '--window=512', '--head=8', f'--out={tmp_path}'
  main.main(['--rpe=alibi', *flags])
  out = capsys.readouterr().out
  assert 'there is no such text of any length' in out
  assert '2 T_w / B = [0.270670566' in out and not [*tmp_path.glob('*.npz')]
  root = subjects.heads(rpe.get('alibi', 8))[7]
  share = witness.largest(root, 512)
  assert abs(float(share.mid()) - np.exp(-2)) < 1e-12
  with pytest.raises(NotProved, match='no text'):
    witness.make(root, 512)


def test_a_convergent_head_may_have_one_and_a_long_one_is_not_written(
  capsys, tmp_path
):
  flags = '--witness', '--window=512', f'--out={tmp_path}'
  main.main(['--formula=-1.05*log(1+t)', *flags])
  out = capsys.readouterr().out
  assert 'converges' in out and '17,012,715 tokens' in out
  assert 'Give a smaller --window' in out and not [*tmp_path.glob('*.npz')]


def test_a_hard_window_has_none_beyond_its_width(capsys, tmp_path):
  (root,) = subjects.heads(rpe.get('window', 1, width=64))
  assert witness.n_half(root, 64) == theory.trf('-log(1+t)', eps=['0.1'])[0][0]
  assert witness.make(root, 32).n == 64
  main.main(['--rpe=window:width=64', '--witness', '--window=64',
             '--heads=1', f'--out={tmp_path}'])  # fmt: skip
  assert '2 T_w / B = 0,' in (out := capsys.readouterr().out)
  assert 'nan' not in out


def test_a_window_without_weight_has_no_number():
  """Weights t - 20 beyond 20 tokens: B_8 = 0, and no share of it."""
  (root,) = subjects.heads('log(max(0,t-20))')
  assert witness.n_half(root, 8).low == 1
  assert witness.n_half(root, 8).high is None
  (root,) = subjects.heads('-log(1+t)')
  with pytest.raises(ValueError, match='at least the window'):
    witness.make(root, 8, 7)


def test_a_trained_run_has_witnesses_too(capsys, tmp_path):
  from tests.theory.test_main import trained

  trained(tmp_path)  # r1 = 1.5 and 1.75, r2 = 0.5
  flags = '--witness', '--window=2', '--head=1', f'--out={tmp_path}'
  main.main([f'--workdir={tmp_path}', *flags])
  w = (1 + np.arange(200) / 2) ** -1.5
  n = 1 + int(np.argmax(np.cumsum(w) >= 2 * (w[0] + w[1])))
  assert f'n = {n:,} tokens' in capsys.readouterr().out


def test_signs_check_what_they_rest_on():
  (root,) = subjects.heads('1-log(1+t)')
  with pytest.raises(UndefinedTotal, match='not at most 1'):
    next(signs(root))
  assert next(signs(root, largest=3))[0] == 0
  assert [*signs(root, blocks=[3, 9])] == [(0, 3, -1), (3, 9, 1)]
  (root,) = subjects.heads('-log(1+t)')
  blocks = signs(root)
  start, stop, sign = next(blocks)
  B = np.cumsum(1 / (1.0 + np.arange(stop)))
  need = 1 + np.exp(2)  # B_N - B_1 >= 1 e^2 (B_1 + 0)
  assert (start, sign) == (0, -1) and B[-1] >= need > B[-2]
  with pytest.raises(NotProved, match='block 2 of the proof'):
    next(blocks)
