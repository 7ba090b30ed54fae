"""Install with `pip install .`; tool settings live in pyproject.toml."""

import pathlib
import shutil
import subprocess

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = pathlib.Path(__file__).resolve().parent
COMMIT = 'extrapolation/runs/_built.py'  # the commit of what is installed


def write_commit(folder):
  """Leaves the commit of this checkout in what is made of it, if it is one."""
  git = ['git', '-C', str(ROOT), 'describe', '--always', '--dirty']
  if not (ROOT / '.git').exists() or not shutil.which('git'):
    return
  done = subprocess.run(git, capture_output=True, text=True)
  if commit := done.stdout.strip():
    path = pathlib.Path(folder, COMMIT)
    path.unlink(missing_ok=True)  # it may be a link to another file
    path.write_text(f'COMMIT = {commit!r}\n')


def copy_configs(folder):
  """So that --config=demo is found wherever it is installed."""
  to = pathlib.Path(folder, 'configs')
  to.mkdir(parents=True, exist_ok=True)
  for path in (ROOT / 'configs').glob('*.py'):
    shutil.copyfile(path, to / path.name)


def copy_law(folder):
  """So that predictions are made where there are no results/ to look in."""
  law = ROOT / 'results' / 'law' / 'law.json'
  if law.is_file():
    to = pathlib.Path(folder)
    to.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(law, to / law.name)


class Build(build_py):
  """The checkout as it is, without what an earlier build left in build/."""

  def run(self):
    if not self.editable_mode:
      shutil.rmtree(pathlib.Path(self.build_lib, NAME), ignore_errors=True)
    super().run()
    if not self.editable_mode:
      copy_configs(pathlib.Path(self.build_lib, NAME))
      copy_law(pathlib.Path(self.build_lib, NAME, 'predict'))
      write_commit(self.build_lib)


class Source(sdist):
  """An archive without git, which says what it was made of."""

  def make_release_tree(self, base_dir, files):
    super().make_release_tree(base_dir, files)
    copy_configs(base_dir)
    copy_law(pathlib.Path(base_dir, 'results', 'law'))
    write_commit(base_dir)


NAME = 'extrapolation'

setup(
  name=NAME,
  cmdclass={'build_py': Build, 'sdist': Source},
  version='0.2.0',
  description='Which positional encodings let a transformer run far beyond '
  'its training length, and can you know before training?',
  license='Apache-2.0',
  python_requires='>=3.11',
  packages=find_packages(include=[NAME, f'{NAME}.*']),
  package_data={
    'extrapolation': ['py.typed'],
    'extrapolation.data.sources.sample': ['*.txt.xz', 'catalog.json'],
  },
  install_requires=[
    'etils[epath]>=1.9',
    'flax>=0.12.8',
    'grain>=0.2.15',
    'immutabledict>=4.2',
    'importlib_resources',  # tensorflow-datasets needs it, undeclared
    'jax>=0.10',
    'jaxtyping>=0.3',
    'jinja2>=3.1',
    'markupsafe>=2.1',
    'matplotlib>=3.9',
    'ml-collections>=1.1',
    'numpy>=2.0',
    'optax>=0.2.5',
    'orbax-checkpoint>=0.11.30',
    'python-flint>=0.7',
    'rich>=13',
    'scipy>=1.15',
    'sentencepiece>=0.2.1',
    'sympy>=1.13',
    'tensorboardX>=2.6.2',
    'tensorflow-datasets>=4.9.9',
  ],
  extras_require={
    'benchmark': ['torch>=2.6'],  # what launch/benchmark.py compares with
    'cuda': ['jax[cuda13]>=0.10'],
    'gcs': ['gcsfs'],  # --workdir=gs://...
    'gpt2': ['tiktoken>=0.9'],  # tokenizer gpt2
    # hf:, .parquet, .arrow, .zst, and tokenizer.json
    'hf': ['huggingface_hub>=0.30', 'pyarrow>=18', 'tokenizers>=0.20'],
    # data.source=texture, digits
    'images': ['scikit-image>=0.25', 'scikit-learn>=1.6'],
    'lint': ['pyrefly==1.4.1', 'ruff==0.17.6'],
    'notebook': ['ipykernel', 'nbclient'],  # to test launch/colab.ipynb
    'tpu': ['jax[tpu]>=0.10'],
    'test': [
      'beartype>=0.21',
      'huggingface_hub>=0.30',
      'hypothesis>=6.130',
      'pyarrow>=18',
      'pytest>=8',
      'pytest-cov>=6',
      'pytest-timeout>=2.3',
      'pytest-xdist>=3.6',
      'scikit-image>=0.25',
      'scikit-learn>=1.6',
      'setuptools>=77',  # builds what tests/test_install.py looks into
      'tiktoken>=0.9',
      'tokenizers>=0.20',
    ],
  },
)
