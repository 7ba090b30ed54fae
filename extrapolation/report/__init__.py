"""The evidence of a sweep, as tables, figures and one HTML page.

`summary.py` reads the runs, `theory_vs_measured.py` asks whether theory
predicted them, `scored.py` whether a prediction made before training came
true, `sweep_report.py` writes it all, of which `page.py` is the page.
"""

from extrapolation.report.summary import read
from extrapolation.report.sweep_report import write

__all__ = ['read', 'write']
