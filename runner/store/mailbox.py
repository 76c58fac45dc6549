"""The table and the FIFO by which other programs reach the runner that owns a store. Touches files."""

from __future__ import annotations

from pathlib import Path

from runner.store.rows import CommandRow


def open_wake(folder: Path) -> int:
    """Create the FIFO `wake` if need be and return the owner's non-blocking descriptor for it."""
    raise NotImplementedError


def drain_wake(descriptor: int) -> None:
    """Empty the FIFO."""
    raise NotImplementedError


def post(folder: Path, command: CommandRow) -> None:
    """Write a pending command and wake the runner. Raises StoreError if the store cannot be written."""
    raise NotImplementedError


def answer_to(folder: Path, command: str) -> str | None:
    """Return the answer to a command, or None while it is pending."""
    raise NotImplementedError


def withdraw(folder: Path, command: str) -> bool:
    """Take a pending command back. False if the runner was faster: then there is an answer."""
    raise NotImplementedError
