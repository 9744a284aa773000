"""What the demos share as commands: where they print, and how they end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from rich.console import Console

from airflow_provider_salesforce_export.demo.surroundings import FOLDER, DemoError

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

console = Console(highlight=False, soft_wrap=True)


def run_command(work: Callable[[IO[str]], None], log_file: Path, *, status_when_stopped: int = 130) -> int:
    """
    Do some work, and return the exit status of the command.

    :param work: Is given the log; what went wrong it raises as DemoError.
    :param log_file: Where the log goes.
    :param status_when_stopped: The status where somebody ends it.
    """
    _exit_on_signals()
    try:
        FOLDER.mkdir(exist_ok=True)
        with log_file.open("w", encoding="utf-8") as log:
            work(log)
    except DemoError as error:
        console.print(f"[bold red]{error}[/] All that was logged: {log_file}")
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return status_when_stopped
    return 0


def _exit_on_signals() -> None:
    """Have SIGTERM end this process as Ctrl-C does, and Ctrl-C even in the background, where a shell disables it."""

    def leave(signal_number: int, frame: FrameType | None) -> None:
        console.print("\nStopping (Airflow may take half a minute) ...")
        raise KeyboardInterrupt

    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, leave)
