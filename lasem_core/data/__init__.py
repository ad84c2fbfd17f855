"""Data sets: one file each, all returning a `TaskStream`."""
