"""Which samples will be wrong some epochs from now, and when a person is asked to look."""

from coflect_widget.forecast.forecaster import Forecaster
from coflect_widget.forecast.foresight import Foresight
from coflect_widget.forecast.gates import ReviewWindow
from coflect_widget.forecast.ranking import rank, reasons, suspects
from coflect_widget.forecast.scoreboard import Scoreboard, sentence
from coflect_widget.telemetry.store import BatchStats, SampleStore

__all__ = [
    "BatchStats",
    "Forecaster",
    "Foresight",
    "ReviewWindow",
    "SampleStore",
    "Scoreboard",
    "rank",
    "reasons",
    "sentence",
    "suspects",
]
