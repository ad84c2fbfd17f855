"""Explorers and the live monitor: controls and a picture that also stands without a kernel."""

from lasem_core.views.widgets.base import Explorer
from lasem_core.views.widgets.frequency import FrequencyExplorer
from lasem_core.views.widgets.monitor import LiveMonitor
from lasem_core.views.widgets.picker import ConfigurationPicker
from lasem_core.views.widgets.posterior import PosteriorLab

__all__ = ["ConfigurationPicker", "Explorer", "FrequencyExplorer", "LiveMonitor", "PosteriorLab"]
