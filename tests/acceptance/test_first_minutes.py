"""Each way of installing Runner with its own tool, from the package index to the first
execution, then its extras by the command that `runner --version` names.

Each case measures its row of the table in runner/README.md: UPDATE_README=1 (with `-n 0`)
rewrites the row, else the test compares all but the times.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.artefacts import BOUND_S, artefacts, check_row, first_execution, run
from support.place import ROOT

from runner.installation import EXTRAS

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(2 * BOUND_S)]
Setup = Callable[[Path, Path], Path]
"""Install the wheel in an empty home; return the command `runner`."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefacts(tmp_path_factory.mktemp("dist")).wheel


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the commands pipx, uv and uvx."""
    folder = tmp_path_factory.mktemp("tools") / "venv"
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    run(folder / "bin/pip", "install", "-q", "pipx", "uv", cwd=folder.parent)
    return folder / "bin"


def by_clone(home: Path, _: Path) -> Path:
    run("git", "clone", "-q", ROOT, "clone", cwd=home)
    run(sys.executable, "-m", "venv", ".venv", cwd=home / "clone")
    run(".venv/bin/pip", "install", "-q", "-e", ".", cwd=home / "clone")
    return home / "clone/.venv/bin/runner"


def by_pip(home: Path, wheel: Path) -> Path:
    run(sys.executable, "-m", "venv", "venv", cwd=home)
    run("venv/bin/pip", "install", "-q", wheel, cwd=home)
    return home / "venv/bin/runner"


def by_uv_pip(home: Path, wheel: Path) -> Path:
    run("uv", "venv", "-q", "--python", sys.executable, "venv", cwd=home)
    run("uv", "pip", "install", "-q", "--python", "venv/bin/python", wheel, cwd=home)
    return home / "venv/bin/runner"


def by_pipx(home: Path, wheel: Path) -> Path:
    run("pipx", "install", "-q", wheel, cwd=home)
    return home / ".local/bin/runner"


def by_uv_tool(home: Path, wheel: Path) -> Path:
    run("uv", "tool", "install", "-q", "--python", sys.executable, wheel, cwd=home)
    return home / ".local/bin/runner"


def by_uvx(home: Path, wheel: Path) -> Path:
    command = home / "runner"
    line = f'exec uvx -q --python {sys.executable} --from {wheel} runner "$@"'
    command.write_text(f"#!/bin/sh\n{line}\n")
    command.chmod(0o755)
    run(command, "--version", cwd=home)
    return command


@pytest.mark.parametrize(
    ("way", "installed", "set_up"),
    [
        ("clone, editable", "from the clone {home}/clone, editable", by_clone),
        ("`pip install`", "with pip in {home}/venv", by_pip),
        ("`uv pip install`", "with uv in {home}/venv", by_uv_pip),
        ("`pipx install`", "with pipx in {home}/.local/share/pipx/", by_pipx),
        ("`uv tool install`", "with uv tool in {home}/.local/share/uv/tools/", by_uv_tool),
        ("`uvx --from`", "with uvx in {home}/.cache/uv/", by_uvx),
    ],
)
def test_from_nothing_to_the_first_execution_and_the_extras(
    way: str,
    installed: str,
    set_up: Setup,
    wheel: Path,
    tools: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}/.local/bin:{tools}:{os.environ['PATH']}")
    begun_s = time.monotonic()
    command = set_up(tmp_path, wheel)
    run(command, "init", "demo", cwd=tmp_path)
    first_execution(command, tmp_path / "demo")
    elapsed_s = time.monotonic() - begun_s

    said = installation_line(command, "--version", cwd=tmp_path)
    assert said.startswith(f"installed {installed.format(home=tmp_path)}")
    assert "; extras: none; not installed: alerts, calendars, fleet, web (" in said
    add = shlex.split(said.rpartition(" (")[2].removesuffix(")"))
    if way == "`uvx --from`":  # its command runs, instead of changing what is installed
        said = installation_line(*add, "--version", cwd=tmp_path)
    else:
        run(*add, cwd=tmp_path)
        said = installation_line(command, "--version", cwd=tmp_path)
    assert said.endswith(f"; extras: {', '.join(EXTRAS)}")
    check_row(way, elapsed_s)


def installation_line(*command: str | Path, cwd: Path) -> str:
    (line,) = (line for line in run(*command, cwd=cwd).splitlines() if line.startswith("installed"))
    return line
