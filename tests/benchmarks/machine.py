"""The machine of the measurements. Reads /proc, and asks git."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peers import PACKAGES, Peers

_OURS = (
    "yaml-job-runner",
    "schedule",
    "pyyaml",
    "jsonschema",
    "watchdog",
    "loguru",
    "click",
    "cronsim",
)


def described(folder: Path) -> dict[str, Any]:
    """Describe the machine, the versions, and the file system of `folder`, in which
    everything is measured.
    """
    model = _of("/proc/cpuinfo", r"model name\s*:\s*(.+)") or platform.machine()
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": f"{os.cpu_count()} × {model}",
        "memory_mb": int(_of("/proc/meminfo", r"MemTotal:\s+(\d+) kB") or 0) // 1000,
        "kernel": platform.release(),
        "file_system": _file_system(folder),
        "load_average": list(os.getloadavg()),
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _OURS},
    }


def described_peers(peers: Peers) -> dict[str, str]:
    """Return the versions of the installed peers."""
    return {"jq": _said(peers.jq, "--version")} | _installed(peers)


def _of(path: str, pattern: str) -> str | None:
    try:
        found = re.search(pattern, Path(path).read_text())
    except OSError:
        return None
    return found[1] if found else None


def _file_system(folder: Path) -> str:
    """Return the type of a folder's file system: that of the mount with the longest
    path above it.
    """
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    return max(
        (place for place in mounts if folder.resolve().is_relative_to(place[0])),
        key=lambda at: len(at[0]),
    )[1]


def _commit() -> str:
    root = Path(__file__).parents[2]
    commit = _said("git", "-C", str(root), "rev-parse", "--short", "HEAD")
    return (
        f"{commit}, with changes"
        if _said("git", "-C", str(root), "status", "--porcelain")
        else commit
    )


def _installed(peers: Peers) -> dict[str, str]:
    python = peers.command("python")
    if not python.exists():
        return {}
    names = [re.split("[=<>]", package)[0] for package in PACKAGES]
    return {
        name: _said(
            str(python), "-c", f"import importlib.metadata as m; print(m.version({name!r}))"
        )
        for name in names
    }


def _said(*command: str | None) -> str:
    if command[0] is None:
        return "not installed"
    done = subprocess.run(
        [word for word in command if word], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout.strip()
