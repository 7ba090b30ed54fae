"""WikiText-2 with SentencePiece BPE, small enough for two CPU cores.

  python -m extrapolation.train --config=configs/wikitext2.py \
    --workdir=runs/wikitext2 --config.data.source=files:DIR

DIR holds train, valid and test files (.txt, .gz or .xz): the benchmark's own
splits. Then: python -m extrapolation.evaluate --workdir=runs/wikitext2. About 6
minutes on two cores; perplexity per BPE token 61.1 at 512 and 60.7 at 9,216
(type2, seed 0, 147,456 targets).
"""

from extrapolation import config


def get_config(rpe: str = 'type2'):
  c = config.base()
  c.data.update(source='files:data/wikitext2', tokenizer='bpe', vocab=4096)
  c.model.update(rpe=rpe, N=3, D=128, H=4, F=512, dropout=0.0)
  c.optim.update(lr=3e-3, warmup=50, schedule='cosine', weight_decay=0.1)
  c.train.update(T=512, B=8, steps=400, log_every=20)
  c.train.update(valid_every=200, valid_tokens=65_536, checkpoint_every=100)
  c.eval.update(lengths=(512, 1024, 2048, 4096, 9216), tokens=147_456)
  c.sweep.update(rpe='sinusoidal,alibi,type2')
  return c
