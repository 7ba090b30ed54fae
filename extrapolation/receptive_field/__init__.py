"""What a trained model really uses, on one axis with what theory predicts.

Every estimator leaves weights by distance, and a field is the number of
nearest tokens that hold all but a share eps of them: `theory.coverage`, as for
exp(bias).

  attention_mass     weights of attention, per head and over all heads
  gradient           norm of d output / d embedding, end to end
  rollout            attention maps multiplied through the layers
  perturbation       change of the output when a token is replaced
  truncation         loss against the context kept
  composition        the layers' attention, convolved: a prediction
  trf, trf_composed  the same of exp(bias), which needs no training

`measure.py` streams windows of text through `estimators/`, whose `__init__`
is their table, into the sums of `bootstrap.py`; `places.py` does so of an
encoder, by distance in its space. `fields.py` reads the fields off them and
`predicted.py` those of theory. `record.py` holds both, which `tables.py`,
`figure.py`, `comparison.py` and `rank_agreement.py` show.
"""

from extrapolation.receptive_field.estimators.settings import Settings
from extrapolation.receptive_field.study import study

__all__ = ['Settings', 'study']
