"""The wheel, installed into a fresh environment and used from a folder that has nothing to do with this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from support import ROOT, check_log, wait_until

BOUND_S = 240


def run(*command: str | Path, cwd: Path, timeout_s: float = BOUND_S) -> str:
    """Run a command without anything of Runner's or Python's in its environment; return what it printed."""
    done = subprocess.run(
        command, cwd=cwd, env=bare(cwd), capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def bare(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNNER_", "PYTHON", "XDG_"))}
    return {**kept, "HOME": str(home), "TZ": "UTC", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `runner` of a fresh environment into which the built wheel was installed."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip")
    run(*pip, "wheel", "-q", "--no-deps", "-w", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("runner-*.whl")
    # Without a pip of its own, which takes seconds to put there.
    venv.create(folder / "venv", with_pip=False)
    run(*pip, "--python", folder / "venv/bin/python", "install", "-q", wheel, cwd=folder)
    return folder / "venv/bin/runner"


@pytest.mark.timeout(BOUND_S)
def test_the_wheel_works_from_any_folder(installed: Path, tmp_path: Path) -> None:
    assert run(installed, "--version", cwd=tmp_path).startswith("runner ")
    for name in ("process-request", "monitor-record"):
        schema = json.loads(run(installed, "schema", name, cwd=tmp_path))
        assert schema == json.loads((ROOT / f"schemas/{name}.schema.json").read_text())

    run(installed, "init", "demo", cwd=tmp_path)
    demo = tmp_path / "demo"
    assert {path.name for path in (demo / "jobs.d").iterdir()} == {path.name for path in (ROOT / "jobs.d").iterdir()}
    assert "all valid" in run(installed, "validate", cwd=demo)

    log = demo / ".local/state/runner/monitor.jsonl"
    process = subprocess.Popen(
        [installed, "start"], cwd=demo, env=bare(demo), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: '"execution.finished"' in read(log), what="welcome has finished")
    finally:
        process.terminate()
        _, console = process.communicate(timeout=30)
    assert process.returncode == 0, console
    finished = [each for each in check_log(log) if each["event"] == "execution.finished"]
    assert [each["status"] for each in finished if each["request"] == "welcome"] == ["success"]
    assert "✓ welcome  success" in console
