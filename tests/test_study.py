"""The study of configs/study: sound configs, matched families, a whole plan."""

import itertools
import pathlib
import signal
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from configs.study import common, matched, one_head
from extrapolation import config, probe, rpe, train
from extrapolation.output import exit_codes
from extrapolation.predict import weights
from extrapolation.runs import sweep_grid
from launch import study

FILES = sorted(
  path.stem
  for path in study.CONFIGS.glob('*.py')
  if 'def get_config' in path.read_text()
)


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> pathlib.Path:
  """A folder with a file for every split of every corpus."""
  folder = tmp_path_factory.mktemp('data')
  for corpus, split in itertools.product(common.CORPORA, study.SPLITS):
    path = folder / corpus / split
    path.parent.mkdir(exist_ok=True)
    path.touch()
  return folder


@pytest.fixture(scope='module')
def calls(data, tmp_path_factory) -> tuple[study.Call, ...]:
  return study.plan(str(data), str(tmp_path_factory.mktemp('runs')), {})


@pytest.fixture
def started(monkeypatch, calls) -> Iterator[list[list[str]]]:
  """What `main` would start, on a plan that is made already."""
  words: list[list[str]] = []
  monkeypatch.setattr(study, 'plan', lambda *args: calls)
  monkeypatch.setattr(study, 'run', lambda command: words.append(command) or 0)
  yield words


def main(data: pathlib.Path, *flags: str) -> int:
  return study.main([f'--data={data}', '--workdir=x', *flags])


@pytest.mark.parametrize('name', FILES)
def test_every_config_is_sound(name):
  path = study.CONFIGS / f'{name}.py'
  e = config.load(str(path))
  assert e.sweep.seeds == common.SEEDS
  runs = [one for _, one in sweep_grid.experiments(e)]
  assert len({one.model.label for one in runs}) == len(e.sweep.encodings)
  train.check(runs[0])
  if e.eval.probe:
    probe.check(runs[0])
  doc = path.read_text().split('"""')[1]
  for part in ('Question', 'Method', 'redicted', 'Refuted by', 'Cost'):
    assert part in doc, f'{name} is a lab note; it lacks: {part}'


@pytest.mark.parametrize('name', FILES)
def test_costs_are_those_that_configs_state(name):
  """Encodings x settings x seeds x corpora, and seconds, of the docstring."""
  (asked,) = [q for q in study.QUESTIONS if q.name == name]
  path = study.CONFIGS / f'{name}.py'
  runs = len([*sweep_grid.run_overrides(config.load(str(path)))])
  said = ' '.join(path.read_text().split('Cost: ')[1].split('"""')[0].split())
  total = runs * len(asked.corpora)
  assert f' = {total} runs of about {asked.seconds:g} s of one core.' in said


@pytest.mark.parametrize('corpus', common.CORPORA)
def test_corpora_are_read_as_they_are_written(corpus):
  e = config.load(f'{study.CONFIGS}/far_mass.py:/data/{corpus}')
  assert e.data.source == f'files:/data/{corpus}/*.txt.xz'
  assert e.data.separator == common.CORPORA[corpus]


def test_equal_far_mass_at_other_rates():
  masses = [matched.far_mass(text) for text in matched.EQUAL_FAR_MASS]
  np.testing.assert_allclose(masses, matched.FAR_MASS, atol=1e-3)
  rates = [matched.rate(text) for text in matched.EQUAL_FAR_MASS]
  assert rates == sorted(rates) and rates[-1] > 4 * rates[0]


def test_equal_rates_at_other_far_masses():
  rates = [matched.rate(text) for text in matched.EQUAL_RATE]
  np.testing.assert_allclose(rates, matched.RATE, atol=1e-3)
  masses = [matched.far_mass(text) for text in matched.EQUAL_RATE]
  assert min(np.diff(masses)) > 0.04 and masses[-1] > 4 * masses[0]


def test_the_rate_is_the_exponent_of_a_power():
  """-t d/dt ln (1 + k t)^-p = p k t / (1 + k t)."""
  k = np.asarray(rpe.slopes(matched.H))[:, 0]
  want = 1.5 * np.mean(k * matched.N / (1 + k * matched.N))
  assert matched.rate('harmonic:exponent=1.5') == pytest.approx(want, rel=1e-4)


def test_solving_finds_the_exponent_that_is_kept():
  (text,) = matched.solve(matched.far_mass, matched.FAR_MASS, ['harmonic'])
  assert text in matched.EQUAL_FAR_MASS


def test_far_mass_grows_with_every_divergent_head():
  none_first = sorted(
    (text for text in one_head.ENCODINGS if 'harmonic' not in text),
    key=lambda text: text.count('none'),
  )
  assert [text.count('none') for text in none_first] == [0, 1, 2, 3, 4]
  read = (weights.read(text, {}, 4, 1, 2048) for text in none_first)
  masses = [of.far_mass(2048, 512) for of in read]
  np.testing.assert_allclose(np.diff(masses), np.diff(masses)[0], rtol=1e-6)
  assert masses[0] < 0.01


def test_every_run_is_in_one_call_with_all_seeds_of_its_encoding(calls, data):
  planned: dict[str, list[str]] = {}
  for call in calls:
    planned.setdefault(call.spec, []).extend(call.runs)
    endings = [run.rpartition('-s')[2] for run in call.runs]
    counts = {endings.count(str(seed)) for seed in common.SEEDS}
    assert len(counts) == 1 and sum(counts) * 3 == len(endings)
  for spec, runs in planned.items():
    wanted = [name for name, _ in sweep_grid.run_overrides(config.load(spec))]
    assert sorted(runs) == sorted(wanted)
  assert {pathlib.Path(spec.split(':')[0]).stem for spec in planned} == {*FILES}


def test_encodings_come_last(calls):
  """A round has every corpus before the next encodings are begun."""
  rounds = [call.number for call in calls]
  assert rounds == sorted(rounds)
  of_text = [c for c in calls if c.folder.name.startswith('far_mass')]
  corpora = [call.folder.name.partition('-')[2] for call in of_text]
  assert corpora == [*common.CORPORA] * (len(of_text) // 3)


def test_dry_run_prints_the_plan(data, calls, started, capsys):
  assert main(data, '--dry_run', '--workers=2') == exit_codes.OK
  out = capsys.readouterr().out
  runs = sum(len(call.runs) for call in calls)
  seconds = sum(len(call.runs) * call.seconds for call in calls)
  assert f'{runs} runs, 0 finished; {runs} to do' in out
  assert f'about {seconds / 7200:.1f} hours of 2 cores' in out
  assert 3 < seconds / 7200 < 5
  assert out.count('far_mass-books') == 7
  assert not started


def test_calls_are_sweeps_of_these_runs(data, calls, started):
  assert main(data, '--workers=2', '--config.train.steps=9') == exit_codes.OK
  assert len(started) == len(calls)
  for call, words in zip(calls, started, strict=True):
    assert words[3:5] == ['extrapolation.sweep', f'--config={call.spec}']
    assert f'--run={",".join(call.runs)}' in words
    assert words[-2:] == ['--workers=2', '--config.train.steps=9']


def test_no_run_is_taken_after_the_hours(
  data, calls, started, monkeypatch, capsys
):
  clock = itertools.count(step=1800)
  monkeypatch.setattr(study.time, 'monotonic', lambda: next(clock))
  assert main(data, '--hours=2') == exit_codes.OK
  assert len(started) == 3  # at 0.5, 1.0 and 1.5 hours
  left = sum(len(call.runs) for call in calls[3:])
  assert f'{left} runs are left' in capsys.readouterr().out


def test_what_is_finished_is_skipped(data, calls, started, monkeypatch):
  done = calls[0]._replace(runs=dict.fromkeys(calls[0].runs, True))
  monkeypatch.setattr(study, 'plan', lambda *args: (done, *calls[1:3]))
  assert main(data) == exit_codes.OK
  assert len(started) == 2 and done.hours(1) == 0


@pytest.mark.parametrize(
  'code', [exit_codes.RETRY, exit_codes.INTERRUPTED, -signal.SIGTERM]
)
def test_a_notice_ends_the_study(data, started, monkeypatch, code):
  codes = iter([0, code])
  monkeypatch.setattr(study, 'run', lambda words: next(codes))
  assert main(data) == code


def test_a_failure_does_not_stop_the_others(
  data, calls, started, monkeypatch, capsys
):
  codes = iter([exit_codes.USAGE, *[0] * (len(calls) - 1)])
  monkeypatch.setattr(study, 'run', lambda words: next(codes))
  assert main(data) == exit_codes.USAGE
  assert f'failed, see above: {calls[0].folder.name}' in capsys.readouterr().out
  assert next(codes, None) is None


def test_a_child_returns_its_code():
  assert study.run([sys.executable, '-c', 'raise SystemExit(75)']) == 75


def test_a_corpus_that_lacks_is_named(tmp_path):
  with pytest.raises(ValueError, match=r'no wikitext2/train.txt.xz \(9 of 9'):
    study.plan(str(tmp_path), 'x', {})


@pytest.mark.parametrize('flag', ['--hours=-1', '--hours=inf', '--workers=-1'])
def test_numbers_are_checked(data, flag):
  with pytest.raises(SystemExit) as stopped:
    main(data, flag)
  assert stopped.value.code == exit_codes.USAGE
