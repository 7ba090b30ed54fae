"""What a trained model really uses, on one axis with what theory predicts.

Every estimator leaves weights by distance, and a field is the number of
nearest tokens that hold all but a share eps of them: `theory.coverage`, as for
exp(bias).

  attention_mass     weights of attention, head by head and over all heads
  gradient           norm of d output / d embedding, end to end
  rollout            attention maps multiplied through the layers
  perturbation       change of the output when a token is replaced
  truncation         loss against the context kept
  composition        the layers' attention, convolved: a prediction
  trf, trf_composed  the same of exp(bias), which needs no training

Start at `lab.py`; `estimators.py` is the table.
"""
