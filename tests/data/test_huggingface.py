"""Text of the Hugging Face hub, from a hub on this machine."""

import http.server
import json
import pathlib
import sys
import threading

import pytest

from extrapolation import data
from extrapolation.data.sources import huggingface

from .test_reading import article, table


class Hub(http.server.BaseHTTPRequestHandler):
  """As much of the Hugging Face Hub as lists and gives files."""

  files = None  # {path: bytes}
  asked = None

  def do_HEAD(self):
    self.answer(body=False)

  def do_GET(self):
    self.answer(body=True)

  def answer(self, body):
    self.asked.append(self.path)
    path = self.path.split('?')[0].replace('%2F', '/')
    if '/resolve/' in path:
      name = path.partition('/convert/parquet/')[2] or path.split('/', 5)[5]
      content, kind = self.files.get(name), 'application/octet-stream'
    elif path.startswith('/api/datasets/own/name') and '/tree/' in path:
      tree = [
        dict(type='file', path=n, size=len(f), oid='1234')
        for n, f in self.files.items()
      ]
      content, kind = json.dumps(tree).encode(), 'application/json'
    elif path.startswith('/api/datasets/own/name'):
      siblings = [{'rfilename': n} for n in self.files]
      about = dict(id='own/name', sha='a' * 40, siblings=siblings, tags=[])
      about |= dict(private=False, downloads=0, likes=0)
      content, kind = json.dumps(about).encode(), 'application/json'
    else:
      content, kind = b'' if path == '/' else None, 'text/plain'
    self.send_response(200 if content is not None else 404)
    self.send_header('Content-Length', str(len(content or b'')))
    self.send_header('Content-Type', kind)
    self.send_header('ETag', '"1234"')
    self.send_header('X-Repo-Commit', 'a' * 40)
    self.end_headers()
    if body and content:
      self.wfile.write(content)

  def log_message(self, *arguments):
    pass


@pytest.fixture
def fake_hub(monkeypatch, tmp_path):
  rows = ['', *article('A').splitlines(keepends=True)[1:]]
  Hub.files = {
    'wikitext-x/train/0000.parquet': table(text=rows),
    'wikitext-x/train/0001.parquet': table(text=rows),
    'wikitext-x/validation/0000.parquet': table(text=rows),
    'wikitext-x/test/0000.parquet': table(text=rows),
    'big/partial-train/0000.parquet': table(text=['x']),
    'README.md': b'hello',
  }
  Hub.asked = []
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hub)
  serve = threading.Thread(target=server.serve_forever, args=(0.01,))
  serve.start()
  monkeypatch.setenv('HF_ENDPOINT', f'http://127.0.0.1:{server.server_port}')
  monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
  yield server
  server.shutdown()


def test_text_of_the_hub(fake_hub, tmp_path):
  cache = tmp_path / 'cache'
  made = data.prepare(source='hf:own/name/wikitext-x', cache=str(cache))
  about = made.manifest['splits']
  assert {s: a['documents'] for s, a in about.items()} == dict(
    train=2, valid=1, test=1
  )
  text = made.tokenizer.decode(made.tokens('valid'))
  assert text == article('A')
  names = [i['name'] for i in made.manifest['inputs']]
  assert names[0] == 'wikitext-x/test/0000.parquet' and len(names) == 4
  fake_hub.shutdown()
  fake_hub.server_close()  # from now on there is no network
  again = data.prepare(source='hf:own/name/wikitext-x', cache=str(cache))
  assert again.folder == made.folder
  (record,) = (cache / 'hf').iterdir()
  pathlib.Path(json.loads(record.read_text())[0]).unlink()
  with pytest.raises(ConnectionError, match='needs the network'):
    data.prepare(source='hf:own/name/wikitext-x', cache=str(cache))


@pytest.mark.parametrize(
  'name, says',
  [
    ('own/name', 'there are: big, wikitext-x'),
    (
      'own/name/wikitext-y',
      "no configuration 'wikitext-y' .*: big, wikitext-x",
    ),
    ('own/name/big', 'only its first part'),
    ('own/none/a', '404'),
    ('own', 'write hf:OWNER/NAME/CONFIG'),
    ('own/name/a/b', 'write hf:OWNER/NAME/CONFIG'),
  ],
)
def test_what_the_hub_lacks(fake_hub, tmp_path, name, says):
  with pytest.raises(ValueError, match=says) as error:
    huggingface.inputs(name, tmp_path / 'cache')
  assert '\n' not in str(error.value) and str(error.value).startswith('hf:own')


def test_without_the_extra(monkeypatch, tmp_path):
  monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
  with pytest.raises(ValueError, match=r"pip install 'extrapolation\[hf\]'"):
    huggingface.inputs('own/name/a', tmp_path)
