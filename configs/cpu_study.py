"""The demo's grown-up twin: train at 512, sweep to 9,216, on two CPU cores.

  python -m extrapolation.sweep --config=configs/cpu_study.py --workdir=runs/cpu

One run: python -m extrapolation.train --config=configs/cpu_study.py \
  --workdir=DIR --config.model.rpe=NAME, then extrapolation.evaluate.

Bytes of the Python standard library, 3.3 M parameters. About 25 minutes a run
on 2 cores (4,000 tokens/s in training), all eleven in an evening. It has not
been run whole yet, so there is no number to expect.
"""

from extrapolation import config


def get_config(rpe: str = 'type2'):
  c = config.base()
  c.model.update(rpe=rpe, N=4, D=256, H=8, F=1024, dropout=0.0)
  c.optim.update(lr=2e-3, warmup=100, schedule='cosine', weight_decay=0.1)
  c.train.update(T=512, B=8, steps=1000, log_every=20)
  c.train.update(valid_every=250, valid_tokens=65_536, checkpoint_every=250)
  c.eval.update(tokens=147_456)  # 16 windows of 9,216
  c.sweep.update(rpe='sinusoidal,none,rotary,t5,harmonic,log_harmonic,alibi,'
                 'kerple_log,sandwich,type1,type2')  # fmt: skip
  return c
