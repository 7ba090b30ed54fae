"""The notebook: every name and flag in it exists, and it runs."""

import ast
import importlib
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import jax.numpy as jnp
import pytest

from extrapolation import config, rpe
from extrapolation.parallel import preemption
from extrapolation.runs import sweep_grid

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOK = json.loads((ROOT / 'launch' / 'colab.ipynb').read_text())
CODE = {
  cell['id']: ''.join(cell['source'])
  for cell in NOTEBOOK['cells']
  if cell['cell_type'] == 'code'
}


def own() -> dict[str, str]:
  """{path: text} of the files that cells write."""
  return dict(
    text.removeprefix('%%writefile ').split('\n', 1)
    for text in CODE.values()
    if text.startswith('%%writefile ')
  )


def names() -> dict[str, object]:
  """The variables of the cell of parameters."""
  found = {}
  exec(CODE['parameters'], found)
  return found


def commands() -> list[list[str]]:
  """Every command of this package, with the variables filled in."""
  lines = '\n'.join(CODE.values()).splitlines()
  return [
    shlex.split(
      line.partition(' -m ')[2].partition(' 2>&1')[0].format(**names())
    )
    for line in lines
    if re.match('!python (-u )?-m extrapolation', line)
  ]


def test_it_is_a_notebook_of_version_4_without_outputs():
  assert (NOTEBOOK['nbformat'], NOTEBOOK['nbformat_minor']) == (4, 5)
  assert set(NOTEBOOK) == {'cells', 'metadata', 'nbformat', 'nbformat_minor'}
  ids = [cell['id'] for cell in NOTEBOOK['cells']]
  assert len(set(ids)) == len(ids)
  for cell in NOTEBOOK['cells']:
    keys = {'cell_type', 'id', 'metadata', 'source'}
    if cell['cell_type'] == 'code':
      assert cell['outputs'] == [] and cell['execution_count'] is None
      keys |= {'outputs', 'execution_count'}
    assert set(cell) == keys and re.fullmatch(r'[\w-]{1,64}', cell['id'])
    assert all(line.endswith('\n') for line in cell['source'][:-1])


def test_every_flag_and_config_key_exists(capsys, monkeypatch):
  monkeypatch.setattr(preemption, 'exit_on_sigterm', lambda: None)
  assert len(commands()) == 4
  for module, *flags in commands():
    main = importlib.import_module(
      module + '.__main__' if module.endswith('theory') else module
    ).main
    with pytest.raises(SystemExit):
      main(['--help'])
    known = re.findall(r'--\w+', capsys.readouterr().out)
    given = [f.partition('=')[0] for f in flags]
    assert {f for f in given if not f.startswith('--config.')} <= set(known)
    encodings = dict(f.split('=', 1) for f in flags).get('--rpe', '').split(',')
    mine = set(own())
    assert set(filter(None, encodings)) <= {*rpe.names(), *mine}
    if module.endswith('sweep'):
      about = dict(f[2:].split('=', 1) for f in flags)
      changes = {k.removeprefix('config.'): v for k, v in about.items()
                 if k.startswith('config.')}  # fmt: skip
      for name in mine & set(changes.get('sweep.rpe', '').split(',')):
        changes['sweep.rpe'] = changes['sweep.rpe'].replace(f',{name}', '')
      assert list(
        sweep_grid.experiments(
          config.load(str(ROOT / about['config']), changes)
        )
      )


def test_the_files_it_shows_are_those_of_its_sweep():
  folder = names()['SWEEP'].partition('--workdir=')[2].split()[0]
  shown = re.findall(r"'([^']*\.(?:png|html))'", '\n'.join(CODE.values()))
  assert shown == [f'{folder}/sweep.png', f'{folder}/report.html']


def test_its_python_parses_and_its_encoding_works(tmp_path):
  for text in CODE.values():
    if not text.startswith('%%'):
      ast.parse(re.sub(r'(?m)^( *)[!%].*$', r'\1pass', text))
  for path, text in own().items():
    assert pathlib.Path(path).parent == pathlib.Path()  # not of the package
    (tmp_path / path).write_text(text)
    name = rpe.load(str(tmp_path / path))
    assert rpe.get(name, 4).bias(jnp.arange(9), {}).shape == (4, 9)


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(tmp_path):
  """Needs `pip install '.[notebook]'`. All but the install, on a tiny sweep."""
  import nbclient
  import nbformat

  listed = ['git', '-C', str(ROOT), 'ls-files', '-z', '-co',
            '--exclude-standard']  # fmt: skip
  files = subprocess.run(listed, capture_output=True, text=True, check=True)
  for name in filter(None, files.stdout.split('\0')):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / name, tmp_path / name)
  notebook = nbformat.read(tmp_path / 'launch' / 'colab.ipynb', 4)
  nbformat.validate(notebook)
  tiny = ['train.steps=4', 'train.B=2', 'train.valid_every=0', 'eval.tokens=64']
  tiny += ['optim.warmup=2']
  tiny += ['eval.lengths=16,64', 'model.N=1', 'model.D=16', 'model.F=16']
  tiny += ['sweep.seeds=0']
  for cell in notebook.cells:
    if cell.id == 'parameters':
      flags = ' '.join(f'--config.{change}' for change in tiny)
      cell.source += f'\nSWEEP += {" " + flags!r}'
      path = f'{pathlib.Path(sys.executable).parent}:'
      cell.source += (
        f"\nimport os; os.environ['PATH'] = {path!r} + os.environ['PATH']"
      )
    if cell.id == 'install':
      cell.source = cell.source.replace('%pip install -q -e .', '')
  client = nbclient.NotebookClient(
    notebook,
    timeout=900,
    kernel_name='python3',
    resources={'metadata': {'path': str(tmp_path / 'launch')}},
  )
  client.execute()
  text = {c.id: json.dumps(c.get('outputs', [])) for c in notebook.cells}
  assert 'image/png' in text['figure']
  assert 'diverges' in text['verdicts'] and 'converges' in text['verdict']
  assert 'mine.py-s0' in text['again'] and 'finished, skipped' in text['again']
  assert (
    'mine.py' in text['report'] and '7 of 7 runs finished' in text['report']
  )
