"""Retrieval: what a trained model finds, by distance and by length.

`grid.py` says which cells there are, `answers.py` asks a model in those of one
length (`forward.py` is the model), `study.py` in all. `reach.py` reads the
reach at 50 % off them and `predicted.py` what theory says of it. `saved.py`
keeps both with the run, as `text.py`, `figure.py`, `comparison.py` and
`ranks.py` show them; `of_sweep.py` does so for each run of a sweep. Probes are
in `data/probes`.
"""

from extrapolation.probe.grid import Grid, Settings
from extrapolation.probe.of_sweep import check, evaluate
from extrapolation.probe.study import Study

__all__ = ['Grid', 'Settings', 'Study', 'check', 'evaluate']
