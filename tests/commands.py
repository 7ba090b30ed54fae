"""A command that trains a config of the tests, in a process of its own."""

import json
import sys

CONFIG = """
import json, pathlib
from ml_collections import ConfigDict
def get_config():
  path = pathlib.Path(__file__).with_name('tiny.json')
  c = ConfigDict(json.loads(path.read_text()))
  c.eval.lengths, c.sweep.seeds = (8, 16), (0,)
  return c
"""


def command(tiny, tmp_path, *argv):
  (tmp_path / 'tiny.py').write_text(CONFIG)
  (tmp_path / 'tiny.json').write_text(json.dumps(tiny.to_dict()))
  return [sys.executable, '-m', 'extrapolation.train',
          f'--config={tmp_path}/tiny.py', *argv]  # fmt: skip
