"""The programs that Runner is compared with, in their own environment. Uses the package
index, once.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cached_property
from pathlib import Path

PACKAGES = ("cronstable==1.2.72", "apscheduler>=3.11,<4")
_INSTALL_WITHIN_S = 300


class Peers:
    """Peers in `folder`, installed there at first use. Without them, their columns stay
    empty.
    """

    def __init__(self, folder: Path, *, is_wanted: bool = True) -> None:
        self._folder = folder
        self._is_wanted = is_wanted
        self.trouble = "" if is_wanted else "peers: not asked for"

    @cached_property
    def python(self) -> Path | None:
        """The interpreter of the peers' environment; None if they cannot be installed,
        and `trouble` says why.
        """
        python = self._folder / "bin" / "python"
        if not self._is_wanted:
            return None
        if not self.command("cronstable").exists():
            try:
                self._install(python)
            except (subprocess.SubprocessError, OSError) as error:
                said = str(getattr(error, "stderr", None) or error).strip().splitlines()
                self.trouble = f"peers: not measured, {said[-1] if said else error}"
                return None
        return python

    @property
    def jq(self) -> str | None:
        """The path of jq; None without it."""
        return shutil.which("jq")

    def command(self, name: str) -> Path:
        """Return the path of a peer's command."""
        return self._folder / "bin" / name

    def _install(self, python: Path) -> None:
        commands: tuple[list[str | Path], ...] = (
            [sys.executable, "-m", "venv", self._folder],
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
        )
        for arguments in commands:
            subprocess.run(
                arguments, check=True, capture_output=True, text=True, timeout=_INSTALL_WITHIN_S
            )
