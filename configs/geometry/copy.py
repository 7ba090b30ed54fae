"""E3: copy and reverse by encoder-decoders, with and without a shared clock.

  python -m extrapolation.sweep --workdir=runs/copy \
    --config=configs/geometry/copy.py:copy
  (and reverse)

Question: does attention across two texts extrapolate if its bias is on a clock
that both share? Distance between a decoder's position i and an encoder's j is
nothing but a convention: i - j, or i - (S - 1 - j), on which what is read last
is written first.

Method: strings of 16 symbols, to be written again as they are, or backwards.
Encoder (bidirectional) and decoder of two layers each, trained at length 32 and
scored, by tokens of the true prefix, at up to 576, the same targets; ALiBi,
one slope in all heads, on both sides; across: no bias, clock forward, clock
backward; 3 seeds, 9 runs per task.

Predicted, of accuracy at 576:
1. The clock of the task has 0.99 or more at every length: `forward` copies,
   `backward` reverses.
2. The other clock fails where its times differ: below 0.3 at 576.
3. Without a bias across, accuracy falls below 0.5 at 576, as a token must be
   found by what is near it in the source, and near strings repeat.

Refuted by: a clock that copies and reverses (then content, not the clock,
solves it), or the right clock below 0.9 at 576.
"""

from configs.geometry import common

TASKS = 'copy', 'reverse'


def get_config(task: str = 'copy'):
  if task not in TASKS:
    raise ValueError(f'{task!r} is no task; there are: {", ".join(TASKS)}')
  c = common.places(('32', '64', '128', '288', '576'))
  c.data.source = task
  c.model.update(kind='encoder_decoder', N=2, D=64, H=4, F=128)
  c.train.update(B=32, steps=600, valid_tokens=8192)
  c.eval.tokens = 2048
  c.sweep.rpe = 'alibi:slope=1'
  c.sweep.grid = 'model.cross=none,forward,backward'
  return c
