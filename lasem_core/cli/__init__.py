"""The `lasem` command: one typer application, one file per command.

Must not hold logic: a command reads its options, calls another room and prints.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

import typer

from lasem_core.common.errors import LasemError

app = typer.Typer(
    name="lasem",
    help="Lifelong architecture search via EM: train, sweep, reproduce, inspect.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

# typer brings its own click in new releases and imports it in old ones
UsageMistake = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

NO_HOME = "Could not determine home directory."  # pathlib's words

STOPPED = 130  # a shell's status for Ctrl-C

COMMANDS = ("train", "sweep", "reproduce", "runs", "bench")
GROUPS = ("data",)


def _register() -> None:
    for name in COMMANDS:
        app.command(name)(getattr(import_module(f"lasem_core.cli.{name}"), name))
    for name in GROUPS:
        app.add_typer(import_module(f"lasem_core.cli.{name}").app, name=name)


_register()


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: mistakes of the user are one line on stderr and exit status 2."""
    logging.basicConfig(level=logging.WARNING, format="lasem: %(message)s")
    sys.exit(exit_status(lambda: app(args=arguments, standalone_mode=False)))


def exit_status(command: Callable[[], object]) -> int:
    """Run `command` and say how it went, in a shell's terms."""
    try:
        status = command()
    except LasemError as error:
        return _complain(str(error), 2)
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        return _complain(f"{what}{error.strerror or error}", 2)
    except RuntimeError as error:
        if str(error) != NO_HOME:
            raise
        return _complain("there is no home directory for caches and Jupyter; set HOME to a folder", 2)
    except UsageMistake as error:
        return _complain(_usage(error), error.exit_code)
    except typer.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        status = STOPPED
    if status == STOPPED:  # new releases of typer catch Ctrl-C and return it
        return _complain("stopped; run the same command again to continue", STOPPED)
    return status if isinstance(status, int) else 0


def _usage(error: Exception) -> str:
    """What the parser says; new releases of typer leave the value out and keep it in the cause."""
    from pydantic import ValidationError  # an import that `--help` need not wait for

    cause = error.__cause__
    given = f": {cause.errors()[0]['input']}" if isinstance(cause, ValidationError) else ""
    return f"{error.format_message()}{given}"


def _complain(message: str, status: int) -> int:
    print(f"lasem: {message}", file=sys.stderr)
    return status
