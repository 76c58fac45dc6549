"""The runner may have more open files than its programs: real processes, with
descriptors beyond the former limit.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import os, resource, sys
from pathlib import Path
from support.process_world import World
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
def fill(count):
    for _ in range(count):
        os.dup(2)
world = World(Path(sys.argv[1]))
world.run("/bin/true")
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (64, hard)
fill(32)
world.run("/bin/true")
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
fill(64)
for further in ({}, {"nice": 19}, {"is_stderr_reported": True}):
    ended, output = world.run("/bin/sh", "-c", "ulimit -Sn; ulimit -Hn; echo said >&2", **further)
    assert ended.exit_code == 0, ended
    highest = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    assert output.split() == ["64", highest, "said"], output
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
world.close()
"""
_FULL = """
import os, resource, sys
from pathlib import Path
from support.process_world import World
from runner.execution.child.program import SpawnError
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
world = World(Path(sys.argv[1]))
try:
    while True:
        os.dup(2)
except OSError:
    pass
for further in ({}, {"nice": 19}):
    try:
        world.spawn("/bin/true", **further)
    except SpawnError as error:
        assert "LimitNOFILE" in str(error), error
    else:
        raise AssertionError("it started")
"""


def test_the_limit_is_raised_at_half_use_for_the_runner_but_not_for_programs(
    tmp_path: Path,
) -> None:
    run(_SCRIPT, tmp_path)


def test_a_runner_at_its_hard_limit_says_how_to_raise_it(tmp_path: Path) -> None:
    run(_FULL, tmp_path)


def run(script: str, folder: Path) -> None:
    """Run a script in a new program, because limits apply to a whole program."""
    tests = Path(__file__).parents[1]
    ran = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=tests.parent,
        env={"PYTHONPATH": f"{tests}:{tests.parent}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
