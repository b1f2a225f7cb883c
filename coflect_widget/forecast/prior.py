"""Weights that the forecast starts from, fitted on trainings that were watched to their end.

Printed by ``benchmarks/forecast/evaluate.py --fit``; `forecast.foresight` says what each is.
"""

FAILURE = (-0.949, -1.994, -1.501, 1.477, 0.951, -0.819)
#: Carried on with the run's own trend, and what a sample has of its own: `forecast.calibration`.
TREND = 1.594
OWN = 1.6
SWING = 0.3
#: Shift and stretch of the log-odds of samples that are listed, of those wrong now and of those
#: right now: `forecast.queue`; printed by ``benchmarks/forecast/evaluate.py --lists --fit``.
LISTED_WRONG = (-0.68, 0.92)
LISTED_RIGHT = (0.77, 0.87)
