"""The question in five minutes on a laptop: who survives 16 times its length?

  python -m extrapolation.sweep --config=configs/demo.py --workdir=runs/demo

12 runs of 2 layers, trained on 64 bytes of context (the packaged books), on two
CPU cores. Expect at 64 and 1,024: sinusoidal 10.0, 13.5; none 10.9, 11.6; alibi
8.79, 8.73 (results/demo).
"""

from extrapolation import config


def get_config(rpe: str = 'type2'):
  c = config.base()
  c.model.update(rpe=rpe, N=2, D=64, H=4, F=256, dropout=0.0)
  c.optim.update(lr=4e-3, warmup=30, schedule='cosine', weight_decay=0.01)
  c.train.update(T=64, B=32, steps=300, log_every=20, valid_every=100)
  c.train.update(valid_tokens=16_384, checkpoint_every=100)
  c.eval.update(lengths=(64, 128, 256, 512, 1024), tokens=32_768)
  c.sweep.update(rpe='sinusoidal,none,harmonic,alibi,type1,type2', seeds=(0, 1))
  return c
