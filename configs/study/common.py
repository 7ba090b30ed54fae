"""What the seven configs of configs/study share: sizes, corpora, encodings.

Each is a lab note, written before any of its runs: question, method, what is
run, prediction, what would refute it, cost. One command runs all of them, and
goes on where it stopped:

  python launch/study.py --data=DIR --workdir=runs/study --hours=4
  python launch/study.py --data=DIR --workdir=runs/study --dry_run

DIR holds the folders of CORPORA, each with train.txt.xz, valid.txt.xz and
test.txt.xz. One question alone, on a corpus, or without it on the packaged
books:

  python -m extrapolation.sweep --workdir=runs/a \
    --config=configs/study/far_mass.py:DIR/wikitext2

Encodings of a config stand in the order of their weight for its question: the
study takes the first two of every question first, on all corpora, all seeds.
"""

import pathlib

from ml_collections import ConfigDict

from extrapolation import config

# Folder of a corpus, and what stands between its documents.
CORPORA = {
  'wikitext2': 'wikitext',
  'books': '<|endoftext|>',
  'code': '<|endoftext|>',
}
SEEDS = (0, 1, 2)

CONTROLS = 'alibi', 'none', 'type1', 'harmonic'
ENCODINGS = (
  *CONTROLS,
  'exp_sqrt',
  'harmonic:exponent=1.05',
  'alibi_floor',
  'rotary',
  'alibi+none*ssmax',  # NAPE, with the heat of SSMax
  'linear@forget',  # FoX
  'type2',
  'sandwich',
  'none*ssmax',
)


def text(c: ConfigDict, corpus: str) -> None:
  """Reads a corpus: its folder, or '' for the packaged books."""
  name = pathlib.Path(corpus).name
  c.data.update(source=source(corpus), separator=CORPORA.get(name, ''))


def source(corpus: str) -> str:
  """The same as a source of data."""
  return f'files:{pathlib.Path(corpus)}/*.txt.xz' if corpus else 'sample'


def long_text(corpus: str) -> ConfigDict:
  """Sizes of configs/cpu_study.py, in 250 of its 400 steps.

  0.6 M parameters, 512 bytes of context, 1.0 M tokens; then 73,728 targets, the
  same at 512, 2,048 and 9,216.
  """
  c = config.base()
  text(c, corpus)
  c.model.update(N=3, D=128, H=4, F=512, dropout=0.0)
  c.optim.update(lr=3e-3, warmup=40, schedule='cosine', weight_decay=0.05)
  c.train.update(T=512, B=8, steps=250, log_every=25)
  c.train.update(valid_every=125, valid_tokens=32_768, checkpoint_every=125)
  c.eval.update(lengths=(512, 2048, 9216), tokens=73_728)
  c.sweep.seeds = SEEDS
  return c


def short() -> ConfigDict:
  """Sizes of configs/probe.py: 2 layers, 0.1 M parameters, 128 tokens."""
  c = config.base()
  c.model.update(N=2, D=64, H=4, F=256, dropout=0.0)
  c.optim.update(lr=3e-3, warmup=30, schedule='cosine', weight_decay=0.01)
  c.train.update(T=128, B=32, steps=300, log_every=20, valid_every=100)
  c.train.update(valid_tokens=32_768, checkpoint_every=300)
  c.eval.lengths = (128, 256, 512, 1024, 2304)
  c.sweep.seeds = SEEDS
  return c
