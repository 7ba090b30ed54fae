"""Can a heat stop the drift of a divergent encoding? A pair that decides.

  python -m extrapolation.sweep --config=configs/heat.py --workdir=runs/heat

24 runs with the sizes of configs/demo.py, three seeds each. Written before any
of them was run:

Weights 1 / (1 + k t) have no finite sum, so the share of keys beyond any window
grows with the length, and perplexity drifts upwards (results/demo). A heat
s_i = ln n_i / ln 64 of the whole logit makes them (1 + k t)^-s_i: the exponent
grows with the length, and one window holds 1 - eps of the mass at every query.
A heat of q.k alone leaves the exponent as it is. So the predictions are, for
the perplexity at 1,024 over that at 64:

1. `harmonic*log_n:whole=true` stays within 1 % of 1;
2. `harmonic*log_n` drifts, at least half as far as `harmonic`;
3. `none*ssmax` drifts less than `none` did (1.063 in results/demo), for sharper
   attention to what is like the query dilutes less, but drifts: of no distance
   is the weight bounded;
4. `linear@forget` and `type1@forget`, whose gates bound what lies far, stay
   within 1 %;
5. `alibi+none*log_n` drifts less than `none`, more than `alibi`;
6. `rotary` fails beyond its length, and less so under every scaling, scored by
   `evaluate --rpe=rotary:scaling=..:factor=16` without training anew.
"""

from configs import demo


def get_config(rpe: str = 'type2'):
  c = demo.get_config(rpe)
  c.sweep.update(
    rpe='harmonic,harmonic*log_n,harmonic*log_n:whole=true,none*ssmax,'
    'linear@forget,type1@forget,alibi+none*log_n,rotary',
    seeds=(0, 1, 2),
  )
  return c
