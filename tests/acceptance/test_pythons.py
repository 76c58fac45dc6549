"""The other Pythons: from the wheel to the first execution, and the unit tests.

Those of newer Debians in containers, and the one that no Debian has from this machine, where
pyenv may have built it. The other tests run on the Python of the Debian that they run on.
"""

from __future__ import annotations

import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.artefacts import BOUND_S, artefacts, check_row, run
from support.place import ROOT
from support.podman import NEEDED, Podman, is_possible, podman

from runner.installation import EXTRAS

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(4 * BOUND_S)]
PACKAGES = ("python3", "python3-venv", "ca-certificates", "git", "procps")
EXTRA_NAMES = ",".join(EXTRAS)
FIRST_MINUTES = f"""
$PYTHON -m venv ~/venv
~/venv/bin/pip install -q "$(echo $DIST/*.whl)[{EXTRA_NAMES}]"
~/venv/bin/runner init ~/demo
cd ~/demo
~/venv/bin/runner start & runner=$!
until grep -qs '"execution.finished"' state/monitor.jsonl; do kill -0 $runner; sleep 0.1; done
kill $runner
wait $runner
grep '"execution.finished"' state/monitor.jsonl | grep -q '"request":"welcome".*"status":"success"'
~/venv/bin/runner --version
"""
UNIT_TESTS = """
mkdir ~/source
tar -xf $DIST/*.tar.gz -C ~/source
cd ~/source/*
git init -q .
~/venv/bin/pip install -q --no-compile -e '.[test]'
~/venv/bin/python -m pytest -n 2 tests/unit
"""
UNDEBIAN = "3.12"
"""A version that no Debian release has."""
Shell = Callable[[str], str]
"""Run shell lines, with the Python as $PYTHON and the artefacts in $DIST; return their output."""


def check_python(version: str, shell: Shell) -> None:
    begun_s = time.monotonic()
    said = shell(FIRST_MINUTES)
    elapsed_s = time.monotonic() - begun_s
    assert f"; extras: {', '.join(EXTRAS)}\n" in said
    check_row(f"pip, Python {version}", elapsed_s)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]
    shell(UNIT_TESTS)


@pytest.fixture(scope="module")
def tool() -> Iterator[Podman]:
    with podman() as tool:
        yield tool


@pytest.mark.skipif(not is_possible(), reason=NEEDED)
@pytest.mark.parametrize("release", ["trixie", "sid"])
def test_a_newer_python_runs_the_wheel_and_the_unit_tests(
    release: str, tool: Podman, tmp_path: Path
) -> None:
    tool.make_base(release, f"{release}-base")
    tool.add_packages(f"{release}-base", release, *PACKAGES)
    dist = artefacts(tmp_path).wheel.parent
    own = ["--network", "host", *tool.pip_settings(), "-v", f"{dist}:/dist:ro"]
    names = ["--env", "HOME=/root", "--env", "PYTHON=python3", "--env", "DIST=/dist"]
    tool("run", "--detach", "--name", release, *own, *names, release, "sleep", "infinity")
    ask = "import sys; print(sys.version_info.major, sys.version_info.minor, sep='.')"
    version = tool("exec", release, "python3", "-c", ask).strip()
    check_python(
        version, lambda lines: tool("exec", release, "sh", "-ec", lines, timeout_s=3 * BOUND_S)
    )


def interpreter(version: str) -> Path | None:
    """Return a Python of this machine that works: pyenv's, or an installed one."""
    found = [*Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    found += [Path("/usr/bin", f"python{version}"), Path("/usr/local/bin", f"python{version}")]
    for each in found:
        with suppress(OSError):
            if subprocess.run([each, "-m", "venv", "-h"], capture_output=True).returncode == 0:
                return each
    return None


@pytest.mark.skipif(
    interpreter(UNDEBIAN) is None, reason=f"this needs Python {UNDEBIAN}: pyenv install {UNDEBIAN}"
)
def test_the_python_that_no_debian_has_runs_the_wheel_and_the_unit_tests(tmp_path: Path) -> None:
    (tmp_path / "built").mkdir()
    names = {
        "PYTHON": str(interpreter(UNDEBIAN)),
        "DIST": str(artefacts(tmp_path / "built").wheel.parent),
    }
    (tmp_path / "home").mkdir()
    check_python(
        UNDEBIAN,
        lambda lines: run(
            "sh", "-ec", lines, cwd=tmp_path / "home", environment=names, timeout_s=3 * BOUND_S
        ),
    )
