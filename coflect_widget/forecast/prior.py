"""Weights that the forecast starts from, fitted on trainings that were watched to their end.

Printed by ``benchmarks/forecast.py --fit``; what each stands for is in `forecast.foresight`.
"""

FAILURE = (-0.949, -1.994, -1.501, 1.477, 0.951, -0.819)
#: Shift and stretch of the log-odds of samples that are right now, and of those that are wrong.
ONSET = (-0.472, 0.903)
PERSIST = (0.327, 0.835)
