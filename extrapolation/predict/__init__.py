"""What is predicted before training, by a law fitted on recorded studies.

`weights.py` is what theory knows of an encoding, `study.py` what was measured;
`fit.py` makes a `law.py` of them in one of the `form.py`, with intervals
(`conformal.py`) and errors (`left_out.py`). `predicted.py` applies it, wider
where it is `unseen.py`; `reach.py` says how far a needle can be, with what was
measured in a `probe_table.py`. `record.py` is prediction.json, which
`registration.py` writes for a sweep; `text.py` and `figure.py` are for people.
"""

from extrapolation.predict import law, record
from extrapolation.predict.law import Law
from extrapolation.predict.predicted import AtLength, Predicted, of
from extrapolation.predict.record import Record

__all__ = ['AtLength', 'Law', 'Predicted', 'Record', 'law', 'of', 'record']
