"""The one exception type for what a user got wrong."""


class LasemError(Exception):
    """A mistake the user can mend: one line that names the wrong value and the fix (exit status 2)."""
