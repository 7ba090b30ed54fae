"""The sections of a config: every key, its default, its unit, its range.

Sizes: N layers, D model width, H heads, F feed-forward width, T training
length in tokens, B sequences per step. Each section is frozen and hashable and
checks itself when it is made, so that one which exists is sound.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import jax
from immutabledict import immutabledict

from extrapolation import rpe as encodings
from extrapolation.cli import values
from extrapolation.config import sizes, spaces, user_files
from extrapolation.config.notation import (
  grid_of,
  keys_or_error,
  targets_per_window,
)
from extrapolation.data import BY_DOCUMENT, SPLITS, probes

ACTIVATIONS = ('relu', 'gelu')
DTYPES = ('float32', 'bfloat16', 'float64')
RULES = ('adamw', 'sgd')
SCHEDULES = ('inverse_sqrt', 'cosine', 'constant')
MODES = ('jit', 'pmap')
OWN_PROBE = 'own'  # of data.source
AXES = ('data', 'fsdp', 'seq')  # of the mesh of devices


def _one_of(key: str, value: str, allowed: Iterable[str]) -> None:
  if value not in allowed:
    raise ValueError(
      f'{key} = {sizes.shown(value)}; there are: {", ".join(allowed)}'
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
  """Which text, in which tokens; `data.prepare` checks the values."""

  # sample | stdlib | files:PATH (file, folder or glob) | tfds:NAME | wikibook
  # | hf:OWNER/NAME/CONFIG | mix:0.5*SOURCE+0.5*SOURCE | prepared:DIR
  # | probe:NAME[:KEY=VALUE..]: drawn from the seed, answers alone are scored
  # | masked:0.15*SOURCE, for encoders: some tokens are to be filled in
  # | NAME[:KEY=VALUE..] of a task on places, such as ising: see data/tasks
  source: str = 'sample'
  valid: str = ''  # another source for validation; '' splits `source`
  test: str = ''
  separator: str = ''  # a line between documents | blank | wikitext
  field: str = ''  # of the text in a record: .jsonl, .json, .csv, .parquet, ..
  splits: str = 'names'  # of files that say train, valid, test | none: one text
  tokenizer: str = 'bytes'  # bytes | bpe | unigram | gpt2[:DIR] | file:PATH
  vocab: int = 8192  # of bpe and unigram
  # contiguous, as in the paper | within: one document each | packed: several,
  # none of which sees another
  windows: str = 'contiguous'
  manual_dir: str = ''  # your files for tfds:NAME; '' is where TFDS looks
  cache: str = ''  # '' is ~/.cache/extrapolation

  def __post_init__(self):
    sizes.check('data.vocab', self.vocab)

  @property
  def within(self) -> bool:
    """Whether each document is read by itself, in evaluation too."""
    return self.windows in BY_DOCUMENT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network(spaces.Space):
  """What all encodings share of section `model`; as in the paper by default."""

  N: int = 6  # layers
  D: int = 512  # width
  H: int = 8  # heads
  F: int = 2048  # hidden width of the feed-forward part
  activation: str = 'relu'  # relu | gelu
  dropout: float = 0.1
  dtype: str = 'float32'  # float32 | bfloat16 | float64: of the computation
  remat: bool = False  # recompute activations in the backward pass
  scan: bool = False  # one compiled layer, looped; unrolled is faster on CPU
  rpe_per_layer: bool = False  # learned encodings: parameters per layer

  def __post_init__(self):
    for name in ('N', 'D', 'H', 'F'):
      sizes.check(f'model.{name}', getattr(self, name), 1)
    if self.D % self.H:
      fits = [h for h in range(1, self.D + 1) if self.D % h == 0]
      near = sorted(fits, key=lambda h: abs(h - self.H))[:3]
      raise ValueError(
        f'model.H = {self.H} heads do not divide model.D = '
        f'{self.D}; near by: {", ".join(map(str, sorted(near)))}'
      )
    _one_of('model.activation', self.activation, ACTIVATIONS)
    _one_of('model.dtype', self.dtype, DTYPES)
    if self.dtype == 'float64' and not jax.config.jax_enable_x64:
      raise ValueError('model.dtype = float64 needs JAX_ENABLE_X64=1')
    if not 0 <= self.dropout < 1:
      raise ValueError(f'model.dropout = {self.dropout}: needs 0 <= p < 1')
    super().__post_init__()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model(Network):
  """The section `model`: a network and its encoding."""

  rpe: str = 'type2'  # a name, or the path of a file of your own, FILE.py
  rpe_args: Mapping[str, Any] = immutabledict()  # its hyperparameters
  # Of such a file, as it was: {sha256, defaults}; filled in by itself.
  rpe_file: Mapping[str, Any] = immutabledict()

  def __post_init__(self):
    super().__post_init__()
    about = user_files.record('model.rpe_file', self.rpe, self.rpe_file)
    # What a run of somebody else names is not run, see `rpe.user_file`.
    unread = bool(about) and not encodings.loaded(self.rpe)
    known = about['defaults'] if unread else encodings.defaults(self.rpe)
    for key, value in self.rpe_args.items():
      if key in known:
        sizes.check_like(f'model.rpe_args.{key}', value, known[key])
    if not unread:
      layers = encodings.layers(self.rpe, self.H, **self.rpe_args)
      self._check_layers(len(layers))
      spaces.check_encodings(self, layers, self.D // self.H)
    full = immutabledict({**known, **self.rpe_args})
    object.__setattr__(self, 'rpe_args', full)
    object.__setattr__(self, 'rpe_file', about)

  def _check_layers(self, n: int) -> None:
    if n > self.N:
      raise ValueError(
        f'model.rpe = {self.rpe}: {n} encodings that layers take turns in (/), '
        f'and model.N = {self.N}; set model.N to {n} or more, or name fewer'
      )
    if n > 1 and self.scan:
      raise ValueError(
        f'model.scan=True compiles one layer for all, and model.rpe = '
        f'{self.rpe} has {n} kinds of layers; set model.scan=False'
      )

  @property
  def label(self) -> str:
    """Its encoding as tables and figures name it."""
    known = self.rpe_file.get('defaults')
    return encodings.label(self.rpe, self.rpe_args, known)

  @property
  def network(self) -> Network:
    """The part that encodings share."""
    fields = dataclasses.fields(Network)
    return Network(**{f.name: getattr(self, f.name) for f in fields})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optim:
  """Optimiser and learning rate; see `training.optimizer`."""

  rule: str = 'adamw'  # adamw | sgd
  lr: float = 5e-4  # peak
  schedule: str = 'inverse_sqrt'  # inverse_sqrt | cosine | constant
  warmup: int = 4000  # steps, linear
  b1: float = 0.9
  b2: float = 0.98
  eps: float = 1e-8
  weight_decay: float = 0.2  # decoupled (AdamW); 0 is Adam; matrices only
  clip: float = 1.0  # global gradient norm; 0 is off

  def __post_init__(self):
    _one_of('optim.rule', self.rule, RULES)
    _one_of('optim.schedule', self.schedule, SCHEDULES)
    for name in ('lr', 'eps', 'clip', 'weight_decay'):
      value = getattr(self, name)
      if not 0 <= value < math.inf:
        raise ValueError(f'optim.{name} = {value}: needs a finite value >= 0')
    for name in ('b1', 'b2'):
      value = getattr(self, name)
      if not 0 <= value < 1:
        raise ValueError(f'optim.{name} = {value}: needs 0 <= value < 1')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
  """Batches, steps, and how often something is written."""

  T: int = 512  # training length, tokens; of encoders it follows from `size`
  size: str = ''  # of an encoder's examples: 16x32 of a grid, 64 of a line
  B: int = 128  # sequences per step
  accumulate: int = 1  # the step in this many parts, for memory
  steps: int = 50_000
  log_every: int = 50
  valid_every: int = 1000  # 0 is never
  valid_tokens: int = 131_072
  checkpoint_every: int = 1000
  keep: int = 3  # newest checkpoints
  keep_every: int = 0  # and those of multiples of this step; 0 is none
  init_from: str = ''  # RUN[:STEP], whose parameters it begins with

  def __post_init__(self):
    for field in dataclasses.fields(self):
      if field.type is str:
        continue
      least = 0 if field.name in ('valid_every', 'keep_every') else 1
      sizes.check(f'train.{field.name}', getattr(self, field.name), least)
    if self.B % self.accumulate:
      raise ValueError(
        f'train.accumulate = {self.accumulate} does not divide '
        f'train.B = {self.B}'
      )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parallel:
  """Where it runs; another layout is the same run."""

  mode: str = 'jit'  # jit: over the whole mesh | pmap: 'data' alone
  data: int = -1  # devices that spread a batch; -1: all that are left
  fsdp: int = 1  # those that spread parameters and optimiser too
  seq: int = 1  # those that spread the tokens of a sequence

  def __post_init__(self):
    _one_of('parallel.mode', self.mode, MODES)
    for name in AXES:
      value = getattr(self, name)
      sizes.check(f'parallel.{name}', value, -math.inf)
      if value < 1 and value != -1:
        raise ValueError(
          f'parallel.{name} = {sizes.shown(value)}: needs >= 1, or -1 for '
          'all devices that are left'
        )
    if sum(getattr(self, name) == -1 for name in AXES) > 1:
      raise ValueError(f'{self}: only one of {", ".join(AXES)} can be -1')
    if self.mode == 'pmap' and (self.fsdp, self.seq) != (1, 1):
      raise ValueError(
        f'{self}: pmap spreads the batch alone; set parallel.fsdp=1 and '
        'parallel.seq=1, or parallel.mode=jit'
      )

  def __str__(self):
    sizes = ', '.join(f'{name}={getattr(self, name)}' for name in AXES)
    return f'parallel.mode = {self.mode}, {sizes}'

  def sizes(self, devices: int, processes: int = 1) -> tuple[int, ...]:
    """The size of each axis of the mesh, with -1 filled in.

    Raises:
      ValueError: the mesh does not divide the devices, or leaves out some of
        those that several processes bring.
    """
    sizes = [getattr(self, name) for name in AXES]
    known = math.prod(n for n in sizes if n != -1)
    fits = devices % known == 0
    if -1 in sizes and fits:
      sizes[sizes.index(-1)], known = devices // known, devices
    if not fits or (processes > 1 and known != devices):
      raise ValueError(
        f'{self}: a mesh of {known} does not '
        + ('divide' if not fits else 'take')
        + f' the {devices} device{"s" * (devices > 1)} there are'
        + (f' in {processes} processes' if processes > 1 else '')
        + '; -1 fills an axis in'
      )
    return tuple(sizes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Eval:
  """The length sweep of a run; see `evaluation.eval_windows`."""

  lengths: tuple[int, ...] = (
    512, 1024, 2048, 3072, 4096, 5120, 6144, 7168, 8192, 9216,
  )  # fmt: skip
  sizes: tuple[str, ...] = ()  # of encoders, for lengths; () is train.size
  protocol: str = 'nonoverlap'  # nonoverlap | sliding:STRIDE | last:K
  split: str = 'test'
  # Targets scored, the same at every length; 0 is all. Of a probe: answers.
  tokens: int = 0
  batch_tokens: int = 16_384  # tokens per forward pass
  window: str = 'full'  # keys a query sees: full | N | certified:ERROR
  # A second evaluation, of retrieval, of each run of a sweep: own (the probe of
  # data.source) | NAME[:KEY=VALUE..]; '' is none.
  probe: str = ''

  def __post_init__(self):
    if not self.lengths:
      raise ValueError('eval.lengths is empty; give one length or more')
    for n in self.lengths:
      if type(n) is not int or n < 1:
        raise ValueError(
          f'eval.lengths: {sizes.shown(n)} is not a length; needs >= 1'
        )
    sizes.check_list('eval.lengths', self.lengths, 1)
    sizes.check('eval.tokens', self.tokens)
    sizes.check('eval.batch_tokens', self.batch_tokens, 1)
    _one_of('eval.split', self.split, SPLITS)
    targets_per_window(self.protocol, min(self.lengths))
    keys_or_error(self.window)
    if self.probe not in ('', OWN_PROBE):
      probes.parse(self.probe)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
  """Which runs a sweep has: encodings x grid x seeds; see `runs.sweep_grid`."""

  # `all`, or with hyperparameters: type1,power:exponent=0.5,path/to/mine.py
  rpe: str = 'all'
  # Of files of your own by path, as `model.rpe_file`; filled in by itself.
  files: Mapping[str, Any] = immutabledict()
  seeds: tuple[int, ...] = (0,)
  grid: str = ''  # more keys: train.T=256,512;optim.lr=1e-3,3e-3

  def __post_init__(self):
    sizes.check_list('sweep.seeds', self.seeds, 0)
    grid_of(self.grid)
    about = {
      path: user_files.record('sweep.files', path, self.files.get(path, {}))
      for path, _ in map(encodings.parse, self.encodings)
      if encodings.is_file(path)
    }
    object.__setattr__(self, 'files', immutabledict(about))

  @property
  def encodings(self) -> tuple[str, ...]:
    """The encodings of `rpe`, as they are written there."""
    return values.items(self.rpe)
