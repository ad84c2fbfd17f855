"""Explorers and the live monitor: controls and a picture that also stands without a kernel."""

from lasem_core.widgets.base import Explorer
from lasem_core.widgets.frequency import FrequencyExplorer
from lasem_core.widgets.monitor import LiveMonitor
from lasem_core.widgets.picker import ConfigurationPicker
from lasem_core.widgets.posterior import PosteriorLab

__all__ = ["ConfigurationPicker", "Explorer", "FrequencyExplorer", "LiveMonitor", "PosteriorLab"]
