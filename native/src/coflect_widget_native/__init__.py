"""Compiled kernels of coflect-widget; `coflect_widget` uses them where they are installed."""

from coflect_widget_native._kernels import Store, agreement, top

__all__ = ["ABI", "Store", "agreement", "top"]

#: Version of the kernels' contract: coflect-widget leaves another one alone.
ABI = 1
