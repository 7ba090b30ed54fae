"""Convergence or distance? Train at 512, sweep to 9,216, on two CPU cores.

  python -m extrapolation.sweep --config=configs/cpu_study.py --workdir=runs/cpu

The paper's controls diverge *and* put far more weight beyond the training
length than its encodings. Here the two are separated: `exp_sqrt` and
`harmonic:exponent=1.05` converge but reach far, `alibi_floor` and `sandwich`
diverge but stay near. Bytes of the Python standard library, 0.6 M parameters,
1.6 M tokens per run. Two workers share the cores: 79 minutes for the 28 runs on
a busy machine. Expect at 512 and 9,216: alibi 6.27, 6.21; harmonic 8.53, 8.93;
rotary 5.24, 14.8 (results/cpu_study).
"""

from extrapolation import config


def get_config(rpe: str = 'type2'):
  c = config.base()
  c.data.source = 'stdlib'
  c.model.update(rpe=rpe, N=3, D=128, H=4, F=512, dropout=0.0)
  c.optim.update(lr=3e-3, warmup=40, schedule='cosine', weight_decay=0.05)
  c.train.update(T=512, B=8, steps=400, log_every=20)
  c.train.update(valid_every=200, valid_tokens=32_768, checkpoint_every=200)
  # 16 windows of 9,216
  c.eval.update(lengths=(512, 1024, 2048, 4096, 9216), tokens=147_456)
  c.sweep.update(
    rpe='alibi,harmonic,harmonic:exponent=1.05,alibi_floor,exp_sqrt,none,'
    'sinusoidal,type1,type2,sandwich,kerple_log,log_harmonic,t5,rotary',
    seeds=(0, 1),
  )
  return c
