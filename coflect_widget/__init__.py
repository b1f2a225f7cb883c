"""Steer a running training from the notebook cell it was started in.

``session = coflect.Session(model, train, val); session.train(epochs=10); session``
"""

from coflect_widget import data
from coflect_widget.backends.registry import register_backend
from coflect_widget.config import Config
from coflect_widget.elsewhere.serving import connect, serve
from coflect_widget.modalities import Table, Text, register_modality
from coflect_widget.projects.audit import audit
from coflect_widget.projects.demo import demo
from coflect_widget.records import sinks
from coflect_widget.records.logs import log_json
from coflect_widget.records.sinks import EventHandler
from coflect_widget.session import Session, close_all
from coflect_widget.session.showing import show_with
from coflect_widget.ui.recorded import compare, open_run, runs

__version__ = "0.1.0"
__all__ = [
    "Config", "EventHandler", "Session", "Table", "Text", "audit", "close_all", "compare",
    "connect", "data", "demo", "log_json", "open_run", "register_backend", "register_modality",
    "runs", "serve", "sinks",
]  # fmt: skip

show_with(
    live="coflect_widget.ui.live:LiveDashboard",
    recorded="coflect_widget.ui.live:replay_dashboard",
    sidebar="coflect_widget.ui.sidebar:show_in_sidebar",
    page="coflect_widget.ui.export:save_html",
    served="coflect_widget.elsewhere.hub:Hub",
)
