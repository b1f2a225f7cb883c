"""Where a run is told to while it trains, or afterwards: ``Session(..., sinks=["mlflow"])``."""

from coflect_widget.records.sinks.base import EventHandler, Sink
from coflect_widget.records.sinks.logging import Logging
from coflect_widget.records.sinks.mlflow import MLflow
from coflect_widget.records.sinks.progress import Progress
from coflect_widget.records.sinks.tensorboard import TensorBoard
from coflect_widget.records.sinks.tracker import Facts, Tracker
from coflect_widget.records.sinks.trackio import Trackio
from coflect_widget.records.sinks.upload import Upload
from coflect_widget.records.sinks.wandb import Wandb

__all__ = [
    "EventHandler", "Facts", "Logging", "MLflow", "Progress", "Sink", "TensorBoard", "Tracker",
    "Trackio", "Upload", "Wandb",
]  # fmt: skip
