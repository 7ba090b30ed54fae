"""Question c: is any encoding good at both, and did the prediction say so?

  python -m extrapolation.sweep --workdir=runs/both \
    --config=configs/study/both.py:DIR/wikitext2

Method: one model for both. Half of the sequences are text, half ask for a
needle (`retrieval`), at 128 tokens; then perplexity of text and accuracy at up
to 2,304. Good at both is: a ratio ppl_2304 / ppl_128 of at most 1.01, and at
512 tokens an accuracy of at least half at the far end, distance 510.

Predicted before any run: no encoding whose bias alone orders is good at both,
since to hold half at distance t costs at least ln t nats where weights never
rise, and those with little far mass pay more. By the law the ratios are 1.012
for alibi (0.991..1.034), 1.016 for type1 (0.993..1.042), 1.036 for harmonic
(0.999..1.077), 1.058 for none (1.006..1.117); what lacks in nats at the far end
of 512 is 2.3, 2.3, 1.7, 1.4. linear@forget, whose gates may stay open for the
needle and close for text, and alibi+none*ssmax, which shares its heads, may be;
of the two alibi+none*ssmax is better at the far end, and linear@forget has the
lower ratio. rotary is good at neither.

Refuted by: alibi, type1, harmonic or none good at both with two seeds.

Cost: 8 encodings x 3 seeds = 24 runs of about 120 s of one core.
"""

from configs.study import common

ENCODINGS = (
  'none',
  'alibi',
  'alibi+none*ssmax',
  'none*ssmax',
  'harmonic',
  'rotary',
  'linear@forget',
  'type1',
)


def get_config(corpus: str = ''):
  c = common.short_probe()
  common.text(c, corpus, share='0.5*probe:needle')
  c.train.steps = 600
  c.eval.update(tokens=36_864, probe='needle')
  c.sweep.rpe = ','.join(ENCODINGS)
  return c
