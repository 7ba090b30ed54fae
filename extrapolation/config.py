"""Configs: a Python file, overrides from the command line, typed sections.

A config file defines `get_config()`, or `get_config(arg)` called with what
follows the colon in `--config=FILE.py:arg`, and returns an ml_collections
ConfigDict; `base()` below is the one to start from. One section belongs to one
callee (`bind`), so a key that nobody reads cannot exist.
"""

import ast
import difflib
import importlib.util
import inspect
import os
import sys
import types
import typing

from ml_collections import ConfigDict

from extrapolation import rpe


def base() -> ConfigDict:
  """The paper's base model and recipe; every config starts here.

  Sizes: arXiv 2307.10156's 44.65 M parameter model. Optimisation: the same
  group's published recipe, on 8 GPUs. See `configs/` for what runs where.
  """
  c = ConfigDict()
  c.seed = 0

  c.data = ConfigDict()
  # stdlib | files:PATH (file, folder or glob) | tfds:NAME | wikibook |
  # hf:OWNER/NAME/CONFIG | mix:0.5*SOURCE+0.5*SOURCE | prepared:DIR
  c.data.source = 'stdlib'
  c.data.valid = ''  # another source for validation; '' splits `source`
  c.data.test = ''
  c.data.separator = ''  # a line between documents; '' is the source's own
  c.data.tokenizer = 'bytes'  # bytes | bpe | unigram | gpt2 | gpt2:DIR
  c.data.vocab = 8192  # of bpe and unigram
  c.data.windows = 'contiguous'  # as in the paper | within: one document each
  c.data.manual_dir = ''  # your files for tfds:NAME; '' is where TFDS looks
  c.data.cache = ''  # '' is ~/.cache/extrapolation

  c.model = ConfigDict()
  c.model.rpe = 'type2'  # any file in extrapolation/rpe
  c.model.rpe_args = ConfigDict()  # its hyperparameters, where not default
  c.model.rpe_per_layer = False  # learned encodings: one set for each layer
  c.model.N = 6  # layers
  c.model.D = 512  # width
  c.model.H = 8  # heads
  c.model.F = 2048  # hidden width of the feed-forward part
  c.model.activation = 'relu'  # relu | gelu
  c.model.dropout = 0.1
  c.model.dtype = 'float32'  # float32 | bfloat16 | float64: of the computation
  c.model.remat = False  # recompute activations in the backward pass
  c.model.scan = False  # one compiled layer, looped; unrolled is faster on CPU

  c.optim = ConfigDict()
  c.optim.rule = 'adamw'  # adamw | sgd
  c.optim.lr = 5e-4  # peak
  c.optim.schedule = 'inverse_sqrt'  # inverse_sqrt | cosine | constant
  c.optim.warmup = 4000  # steps, linear
  c.optim.b1 = 0.9
  c.optim.b2 = 0.98
  c.optim.eps = 1e-8
  c.optim.weight_decay = 0.2  # decoupled (AdamW); 0 is Adam; matrices only
  c.optim.clip = 1.0  # global gradient norm; 0 is off

  c.train = ConfigDict()
  c.train.T = 512  # training length, tokens
  c.train.B = 128  # sequences a step
  c.train.accumulate = 1  # the step in this many parts, for memory
  c.train.steps = 50_000
  c.train.log_every = 50
  c.train.valid_every = 1000  # 0 is never
  c.train.valid_tokens = 131_072
  c.train.checkpoint_every = 1000
  c.train.keep = 3  # newest checkpoints
  c.train.keep_every = 0  # and those of multiples of this step; 0 is none

  c.parallel = ConfigDict()  # where it runs: another layout is the same run
  c.parallel.mode = 'jit'  # jit: over the whole mesh | pmap: 'data' alone
  c.parallel.data = -1  # devices that spread a batch; -1: all that are left
  c.parallel.fsdp = 1  # those that spread parameters and optimiser too
  c.parallel.seq = 1  # those that spread the tokens of a sequence

  c.eval = ConfigDict()
  c.eval.lengths = (512, 1024, 2048, 3072, 4096, 5120, 6144, 7168, 8192, 9216)
  c.eval.protocol = 'nonoverlap'  # nonoverlap | sliding:STRIDE | last:K
  c.eval.split = 'test'
  c.eval.tokens = 0  # targets scored, the same at every length; 0 is all
  c.eval.batch_tokens = 16_384  # tokens a forward pass
  c.eval.window = 'full'  # keys a query sees: full | N | certified:ERROR

  c.sweep = ConfigDict()
  c.sweep.rpe = 'all'  # or type1,type2,power:exponent=0.5,...
  c.sweep.seeds = (0,)
  return c


def load(spec: str, overrides: dict[str, str] | None = None) -> ConfigDict:
  """The locked config of `FILE.py[:arg]`, with `{'model.rpe': 'type1'}` set.

  Raises:
    ValueError: no such file or key, or a value of another type; the message
      names the key and what there is.
  """
  path, _, arg = spec.partition(':')
  c = _module(path).get_config(*([arg] if arg else []))
  return override(c, overrides or {})


def override(c: ConfigDict, overrides: dict[str, str]) -> ConfigDict:
  """A locked copy of `c` with string values set, each parsed to its type."""
  c = c.copy_and_resolve_references().unlock()  # ConfigDict(c) shares sections
  if 'model.rpe' in overrides and overrides['model.rpe'] != c.model.rpe:
    c.model.rpe_args = ConfigDict()  # those were of another encoding
    c.model.rpe = overrides['model.rpe']
  given = c.model.rpe_args.to_dict()
  known = rpe.defaults(c.model.rpe)
  rpe.get(c.model.rpe, c.model.H, **given)
  c.model.rpe_args = ConfigDict({**known, **given})
  for key, text in overrides.items():
    *parents, leaf = key.split('.')
    node = c
    for i, part in enumerate(parents):
      node = _child(node, part, '.'.join(parents[:i]))
      if not isinstance(node, ConfigDict):
        raise ValueError(f'config key {key!r}: {part!r} is not a section')
    old = _child(node, leaf, '.'.join(parents))
    node[leaf] = _parse(text, old, key)
  return c.lock()


def complete(c: ConfigDict) -> ConfigDict:
  """`c` of an older version, with what did not exist then at its default."""
  c = c.copy_and_resolve_references().unlock()
  for name, default in base().items():
    if name not in c:
      c[name] = default
    elif isinstance(default, ConfigDict):
      for key, value in default.items():
        if key not in c[name]:
          c[name][key] = value
  return c.lock()


def sections(c: ConfigDict) -> None:
  """Raises ValueError unless `c` has exactly the sections of `base`."""
  known = list(base().keys())
  for key in c:
    if key not in known:
      raise ValueError(_no_key(key, key, known))
  for key in known:
    if key not in c:
      raise ValueError(f'config has no {key!r}; start from config.base()')


def bind(section: str, callee, values: ConfigDict) -> dict:
  """The keyword arguments `values` for `callee`, checked against its signature.

  Raises:
    ValueError: a key that `callee` does not take or a value of another type
      than it declares, naming the key and the alternatives.
  """
  values = values.to_dict()
  declared = inspect.signature(callee).parameters
  hints = typing.get_type_hints(callee)
  for key, value in values.items():
    if key not in declared:
      raise ValueError(_no_key(f'{section}.{key}', key, list(declared)))
    want = hints.get(key, object)
    want = want.__origin__ if hasattr(want, '__origin__') else want
    for mild, strict in ((int, float), (list, tuple)):
      if want is strict and type(value) is mild:
        values[key] = value = strict(value)
    is_type = isinstance(want, type)
    if is_type and (
      not isinstance(value, want) or (want is int and isinstance(value, bool))
    ):
      raise ValueError(
        f'config key {section}.{key} = {value!r}: '
        f'needs {want.__name__}, got {type(value).__name__}'
      )
  return values


def differences(old: dict, new: dict, prefix: str = '') -> list[str]:
  """One line for each key whose value differs: `key: old -> new`."""
  lines = []
  for key in sorted({*old, *new}):
    a, b = old.get(key, '(absent)'), new.get(key, '(absent)')
    if isinstance(a, dict) and isinstance(b, dict):
      lines += differences(a, b, f'{prefix}{key}.')
    elif a != b:
      lines.append(f'{prefix}{key}: {a!r} -> {b!r}')
  return lines


def _module(path: str) -> types.ModuleType:
  if not os.path.isfile(path):
    raise ValueError(
      f'no config file {path!r}; give the path of a Python '
      'file with get_config(), such as configs/demo.py'
    )
  # So that a config can import its neighbour: `from configs import demo`.
  root = os.path.dirname(os.path.dirname(os.path.abspath(path)))
  if root not in sys.path:
    sys.path.append(root)
  spec = importlib.util.spec_from_file_location('_config', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  if not hasattr(module, 'get_config'):
    raise ValueError(f'config file {path!r} has no get_config()')
  return module


def _no_key(key: str, leaf: str, there: list[str]) -> str:
  close = difflib.get_close_matches(leaf, there, 1)
  hint = f' (did you mean {close[0]!r}?)' if close else ''
  return f'no config key {key!r}{hint}; there are: {", ".join(there) or "none"}'


def _child(node: ConfigDict, name: str, path: str):
  if name not in node:
    key = f'{path}.{name}' if path else name
    raise ValueError(_no_key(key, name, list(node.keys())))
  return node[name]


def _parse(text: str, old, key: str):
  """`text` as a value of the type of `old`."""
  want = type(old)
  if isinstance(old, ConfigDict):
    raise ValueError(
      f'config key {key!r} is a section with the keys: '
      + (', '.join(old.keys()) or 'none')
    )
  if want is str:
    return text
  try:
    if want is bool:
      return {'true': True, 'false': False}[text.lower()]
    if want is tuple:
      value = ast.literal_eval(f'({text},)' if text else '()')
      return value[0] if value and isinstance(value[0], tuple) else value
    value = ast.literal_eval(text)
    if isinstance(value, bool) or want(value) != value:
      raise ValueError
    return want(value)
  except (ValueError, SyntaxError, KeyError, TypeError):
    raise ValueError(
      f'config key {key} = {text!r}: needs {want.__name__}, such as {old!r}'
    ) from None
