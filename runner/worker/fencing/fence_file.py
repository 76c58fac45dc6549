"""The fence as a file, from the worker for its supervisor. Touches that file.

A reader sees the former content or the new one, never a mix.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from runner.worker.fencing.fence import Fence, Fenced

FILE = "fence.json"


def write_fence(folder: Path, fence: Fence) -> None:
    """Replace the fence of a worker's folder. Raises OSError."""
    fresh = folder / f"{FILE}.new"
    fresh.write_text(json.dumps(asdict(fence)))
    os.replace(fresh, folder / FILE)  # noqa: PTH105 - what it is known as


def read_fence(folder: Path) -> Fence:
    """Return the fence of a worker's folder. Raises OSError and ValueError."""
    content = json.loads((folder / FILE).read_text())
    executions = tuple(Fenced(**each) for each in content.pop("executions"))
    return Fence(**content, executions=executions)
