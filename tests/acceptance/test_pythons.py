"""The Pythons of newer Debians: from the wheel to the first execution, and the unit tests.

The other tests run on the Python of the Debian that they run on.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.artefacts import BOUND_S, artefacts, check_row
from support.place import ROOT
from support.podman import NEEDED, Podman, is_possible, podman

from runner.installation import EXTRAS

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.timeout(4 * BOUND_S),
    pytest.mark.skipif(not is_possible(), reason=NEEDED),
]
PACKAGES = ("python3", "python3-venv", "ca-certificates", "git", "procps")
EXTRA_NAMES = ",".join(EXTRAS)
FIRST_MINUTES = f"""
python3 -m venv /venv
/venv/bin/pip install -q "$(echo /dist/*.whl)[{EXTRA_NAMES}]"
/venv/bin/runner init /demo
cd /demo
/venv/bin/runner start & runner=$!
until grep -qs '"execution.finished"' state/monitor.jsonl; do kill -0 $runner; sleep 0.1; done
kill $runner
wait $runner
grep '"execution.finished"' state/monitor.jsonl | grep -q '"request":"welcome".*"status":"success"'
/venv/bin/runner --version
"""
UNIT_TESTS = """
tar -xf /dist/*.tar.gz -C /opt
cd /opt/*
git init -q .
/venv/bin/pip install -q -e '.[test]'
/venv/bin/python -m pytest -n 2 tests/unit
"""


@pytest.fixture(scope="module")
def tool() -> Iterator[Podman]:
    with podman() as tool:
        yield tool


@pytest.mark.parametrize("release", ["trixie", "sid"])
def test_a_newer_python_runs_the_wheel_and_the_unit_tests(
    release: str, tool: Podman, tmp_path: Path
) -> None:
    tool.make_base(release, release, *PACKAGES)
    dist = artefacts(tmp_path).wheel.parent
    own = ["--network", "host", *tool.pip_settings(), "-v", f"{dist}:/dist:ro"]
    tool("run", "--detach", "--name", release, *own, release, "sleep", "infinity")
    begun_s = time.monotonic()
    said = tool("exec", release, "sh", "-ec", FIRST_MINUTES)
    elapsed_s = time.monotonic() - begun_s
    assert f"; extras: {', '.join(EXTRAS)}\n" in said

    ask = "import sys; print(sys.version_info.major, sys.version_info.minor, sep='.')"
    version = tool("exec", release, "python3", "-c", ask).strip()
    check_row(f"`pip install`, Python {version}", elapsed_s)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]
    tool("exec", release, "sh", "-ec", UNIT_TESTS, timeout_s=2 * BOUND_S)
