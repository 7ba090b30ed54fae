"""What all tests share: encodings, a config for tiny runs, one trained run."""

import logging
import os
import pathlib
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import pytest
from jax._src.interpreters import mlir

from extrapolation import config, rpe
from extrapolation.cli import compilation_cache
from extrapolation.output import logs
from extrapolation.rpe import user_file

# Devices are counted once, before the first array; one program in 8 parts.
jax.config.update('jax_num_cpu_devices', 8)

H = 4

# Tests of numerical code: the gate runs them with shapes and types checked at
# every call, but for those that measure what is compiled.
TYPED = re.compile(
  r'tests/((attention|evaluation|model)/|(clock|heat|rpe)/test_laws)'
)
MEASURED = re.compile('compiled|memory|devices|check')


def _share(make: Callable[[], Any], programs: int = 64) -> Callable[[], Any]:
  """`make` that returns in each thread what it made before, so many times."""
  here = threading.local()

  def shared():
    here.left = getattr(here, 'left', 0) - 1
    if here.left < 0:
      here.left, here.made = programs - 1, make()
    return here.made

  return shared


# Tests lower some ten thousand programs of a few operations. Half of the time
# that takes is JAX's making a context of MLIR for each; it holds no program,
# but the constants of all that were lowered in it, hence not one for ever.
if hasattr(mlir, 'make_ir_context'):  # JAX's own, in whatever version
  mlir.make_ir_context = _share(mlir.make_ir_context)


def pytest_configure(config: pytest.Config) -> None:
  """One folder of compiled programs for all processes, and for the next time.

  Most of the time of the tests is compilation: a second run takes half. The
  variables reach the workers of pytest and the processes that tests start.
  """
  compilation_cache.enable('~/.cache/extrapolation/tests')
  folder = jax.config.jax_compilation_cache_dir
  if folder and 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
    os.environ['JAX_COMPILATION_CACHE_DIR'] = folder
    os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
  for item in items:
    file, _, test = item.nodeid.partition('::')
    if TYPED.match(file) and not MEASURED.search(test):
      item.add_marker('typed')


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
  """Names of files that are not UTF-8 may be in what a test printed.

  pytest-xdist cannot send such text, and ends without a word of the test.
  """
  report = yield
  report.sections = [
    (name, text.encode(errors='backslashreplace').decode())
    for name, text in report.sections
  ]
  return report


@pytest.fixture(autouse=True)
def _messages() -> Iterator[None]:
  """What a command would print is printed, and can be read by `capsys`."""
  log, absl = (logging.getLogger(name) for name in ('extrapolation', 'absl'))
  handlers, levels = log.handlers[:], (log.level, absl.level)
  logs.setup()
  own = [h for h in log.handlers if h not in handlers]  # pytest has some too
  yield
  for handler in own:
    log.removeHandler(handler)
  log.propagate = True
  log.setLevel(levels[0])
  absl.setLevel(levels[1])


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
  """Files of a user's own are those that a test itself has named."""
  monkeypatch.setattr(user_file, '_loaded', {})


@pytest.fixture(params=rpe.names())
def encoding(request: pytest.FixtureRequest) -> rpe.RPE:
  """Every encoding there is, for H heads; a new file is under every law."""
  return rpe.get(request.param, H)


def tiny_config(path: pathlib.Path) -> config.Experiment:
  """A config that trains in a second or two, on text made for it in `path`."""
  (path / 'text').mkdir()
  for split, lines in dict(train=900, valid=120, test=200).items():
    text = ''.join(f'{i} squared is {i * i}.\n' for i in range(lines))
    (path / 'text' / f'{split}.txt').write_text(text)
  c = config.base()
  c.data.update(source=f'files:{path}/text', cache=str(path / 'cache'))
  c.model.update(rpe='kerple_log', N=2, D=16, H=2, F=32, dropout=0.0)
  c.optim.update(lr=1e-2, warmup=2)
  c.train.update(T=16, B=4, steps=6, log_every=1, checkpoint_every=2)
  c.train.update(valid_every=3, valid_tokens=64)
  c.parallel.data = 1
  c.eval.update(lengths=(8, 16, 64), tokens=200, batch_tokens=128)
  return config.override(c, {})


@pytest.fixture
def tiny(tmp_path: pathlib.Path) -> config.Experiment:
  return tiny_config(tmp_path)


@pytest.fixture(scope='session')
def trained(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """The folder of a finished run of `tiny_config`; `trained_copy` to write."""
  from extrapolation import train

  path = tmp_path_factory.mktemp('trained')
  train.train(tiny_config(path), str(path / 'run'))
  return path / 'run'


@pytest.fixture
def trained_copy(trained: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
  """A finished run that a test may change; its text is not copied."""
  return shutil.copytree(trained, tmp_path / 'trained')
