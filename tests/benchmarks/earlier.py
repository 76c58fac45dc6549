"""Measures an earlier commit with its own benchmarks. Runs git, pip and that program."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.harness import Result, Series

_ROOT = Path(__file__).parents[2]
_INSTALL_WITHIN_S = 300
_MEASURE_WITHIN_S = 3600


class Earlier:
    """An earlier commit of this project, installed into its own environment in
    `folder`.

    Raises CalledProcessError if git does not know the commit or pip cannot install it.
    """

    def __init__(self, commit: str, folder: Path) -> None:
        self.commit = commit
        self._source = folder / "source"
        self._python = folder / "environment" / "bin" / "python"
        self._report = folder / "report.json"
        archive = subprocess.run(
            ["git", "-C", _ROOT, "archive", commit], check=True, capture_output=True
        )
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
            files.extractall(self._source)
        commands: tuple[list[str | Path], ...] = (
            [sys.executable, "-m", "venv", folder / "environment"],
            [self._python, "-m", "pip", "install", "--quiet", "--editable", self._source],
        )
        for command in commands:
            subprocess.run(command, check=True, capture_output=True, timeout=_INSTALL_WITHIN_S)

    def measure(self, name: str, *, size: int, rounds: int) -> Result:
        """Return the figures of the earlier commit's benchmark of this name.

        Series that it lacks are missing. Raises ValueError if it measures nothing.
        """
        self._report.unlink(missing_ok=True)
        command: list[str | Path] = [self._python, "tests/benchmarks", "--no-peers"]
        command += ["--only", name, "--size", f"{name}={size}", "--rounds", str(rounds)]
        done = subprocess.run(
            [*command, "--json", self._report],
            cwd=self._source,
            capture_output=True,
            text=True,
            check=False,
            timeout=_MEASURE_WITHIN_S,
        )
        if not self._report.exists():
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise ValueError(lines[-1])
        (row,) = json.loads(self._report.read_text())["benchmarks"]
        if "series" not in row:
            raise ValueError(row["trouble"])
        ours = tuple(_series(each) for each in row["series"] if each["is_ours"])
        beside = tuple(_series(each) for each in row["series"] if not each["is_ours"])
        return Result(ours=ours, beside=beside, targets=())


def _series(found: dict[str, Any]) -> Series:
    return Series(label=found["label"], unit=found["unit"], values=tuple(found["values"]))
