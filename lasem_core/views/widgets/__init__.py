"""The explorer of recorded runs, which needs no kernel, and the live monitor of a run as it trains."""

from lasem_core.views.widgets.explorer import Explorer
from lasem_core.views.widgets.monitor import LiveMonitor

__all__ = ["Explorer", "LiveMonitor"]
