"""What a run is: specifications, transfer configurations, presets, network geometry, the command that repeats a run.

Must not know torch, so that the command line starts quickly.
"""
