"""The exception type for what a user got wrong."""


class LasemError(Exception):
    """A mistake the user can correct: one line that names the wrong value and the fix (exit status 2)."""

    def _render_traceback_(self) -> list[str]:
        """What Jupyter and papermill show in place of a traceback."""
        return [f"LasemError: {self}"]


class Diverged(LasemError):
    """Training has produced numbers that are not finite; the run cannot continue from here."""


def one_line(error: Exception) -> str:
    """Type and first line of an error of somebody else's code."""
    reason = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__
