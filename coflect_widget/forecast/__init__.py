"""Which samples will be wrong some epochs from now, and when a person is asked to look."""

from coflect_widget.forecast.forecaster import Forecaster
from coflect_widget.forecast.gates import ReviewWindow
from coflect_widget.forecast.risk import rank, reasons, risk
from coflect_widget.forecast.scoreboard import Scoreboard, sentence
from coflect_widget.forecast.store import BatchStats, SampleStore

__all__ = [
    "BatchStats",
    "Forecaster",
    "ReviewWindow",
    "SampleStore",
    "Scoreboard",
    "rank",
    "reasons",
    "risk",
    "sentence",
]
