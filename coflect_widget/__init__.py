"""Steer a running training from the notebook cell it was started in.

``session = coflect.Session(model, train, val); session.train(epochs=10); session``

The import takes no time: each name is imported when it is first used. A new name has two lines
here, an import for type checkers and editors, and its module in `_HOMES`.
"""

import importlib
from typing import TYPE_CHECKING

from coflect_widget.screens import show_with

if TYPE_CHECKING:
    from coflect_widget import data as data
    from coflect_widget.backends.registry import register_backend as register_backend
    from coflect_widget.config import Config as Config
    from coflect_widget.elsewhere.serving import connect as connect
    from coflect_widget.elsewhere.serving import serve as serve
    from coflect_widget.experiments.experiment import Experiment as Experiment
    from coflect_widget.experiments.sweep import Sweep as Sweep
    from coflect_widget.experiments.tuning import tune as tune
    from coflect_widget.modalities import Table as Table
    from coflect_widget.modalities import Text as Text
    from coflect_widget.modalities import register_modality as register_modality
    from coflect_widget.modalities.volume import slices as slices
    from coflect_widget.projects.audit import audit as audit
    from coflect_widget.projects.demo import demo as demo
    from coflect_widget.projects.endpoint.kept import kept as kept
    from coflect_widget.projects.quickstart.start import quickstart as quickstart
    from coflect_widget.records import sinks as sinks
    from coflect_widget.records.logs import log_json as log_json
    from coflect_widget.records.sinks import EventHandler as EventHandler
    from coflect_widget.registry import register as register
    from coflect_widget.session import Session as Session
    from coflect_widget.session import close_all as close_all
    from coflect_widget.ui.recorded import compare as compare
    from coflect_widget.ui.recorded import open_run as open_run
    from coflect_widget.ui.recorded import report as report
    from coflect_widget.ui.recorded import runs as runs

__version__ = "0.1.0"
#: Where each public name is; a module where it ends in a dot.
_HOMES = {
    "Config": "config",
    "EventHandler": "records.sinks",
    "Experiment": "experiments.experiment",
    "Session": "session",
    "Sweep": "experiments.sweep",
    "Table": "modalities",
    "Text": "modalities",
    "audit": "projects.audit",
    "close_all": "session",
    "compare": "ui.recorded",
    "connect": "elsewhere.serving",
    "data": "data.",
    "demo": "projects.demo",
    "kept": "projects.endpoint.kept",
    "log_json": "records.logs",
    "open_run": "ui.recorded",
    "quickstart": "projects.quickstart.start",
    "register": "registry",
    "register_backend": "backends.registry",
    "register_modality": "modalities",
    "report": "ui.recorded",
    "runs": "ui.recorded",
    "serve": "elsewhere.serving",
    "sinks": "records.sinks.",
    "slices": "modalities.volume",
    "tune": "experiments.tuning",
}
__all__ = [*_HOMES]

show_with(
    live="coflect_widget.ui.live:LiveDashboard",
    recorded="coflect_widget.ui.live:replay_dashboard",
    sidebar="coflect_widget.ui.sidebar:show_in_sidebar",
    page="coflect_widget.ui.export:save_html",
    served="coflect_widget.elsewhere.hub:Hub",
)


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{home.removesuffix('.')}")
    found: object = module if home.endswith(".") else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
