"""What a run is: specifications, configurations, presets, geometry; no torch here."""
