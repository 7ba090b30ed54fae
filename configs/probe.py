"""Is a value found in far more filler than the model was trained with?

  python -m extrapolation.sweep --config=configs/probe.py --workdir=runs/probe

A value among filler, asked for at the end (`probe:needle`), at 128 tokens; then
the same values with up to 18 times the filler in front. Training reaches an
accuracy of 1.000 on 512 held-out examples at 128 tokens with every encoding, in
300 steps: 33 to 41 seconds of CPU time per run on two cores, compilation
included. Each run is then asked by distance and length (`eval.probe`).
"""

from extrapolation import config


def get_config(rpe: str = 'alibi'):
  c = config.base()
  c.data.source = 'probe:needle'
  c.model.update(rpe=rpe, N=2, D=64, H=4, F=256, dropout=0.0)
  c.optim.update(lr=3e-3, warmup=30, schedule='cosine', weight_decay=0.01)
  c.train.update(T=128, B=32, steps=300, log_every=20, valid_every=50)
  c.train.update(valid_tokens=65_536, checkpoint_every=300)
  c.eval.update(lengths=(64, 128, 256, 512, 1024, 2304), tokens=256)
  c.eval.probe = 'own'
  c.sweep.update(rpe='alibi,none,rotary', seeds=(0,))
  return c
