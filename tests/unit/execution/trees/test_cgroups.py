"""Finding and using the runner's cgroup, with folders that look like cgroups.

test_limits uses real ones.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.execution.child.program import SpawnError
from runner.execution.trees import cgroups
from runner.execution.trees.cgroups import Cgroups, folder_of, take_from
from runner.values import new_id

_V2 = "31 24 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
_HYBRID = """\
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw"""
_BOUND = "50 24 0:27 /machine/box /my\\040cgroups rw - cgroup2 none rw"


@pytest.mark.parametrize(
    ("cgroup", "mountinfo", "folder"),
    [
        ("0::/system.slice/runner.service\n", _V2, "/sys/fs/cgroup/system.slice/runner.service"),
        ("0::/\n", _V2, "/sys/fs/cgroup"),
        ("9:name=systemd:/a\n4:memory:/b\n0::/c\n", _HYBRID, "/sys/fs/cgroup/unified/c"),
        ("0::/machine/box/inner\n", _BOUND, "/my cgroups/inner"),
        ("0::/machine/boxes\n", _BOUND, None),
        ("0::/../outside\n", _BOUND, None),
        ("4:memory:/b\n", _HYBRID, None),
        ("0::/c\n", _HYBRID.splitlines()[0], None),
        ("", "", None),
    ],
)
def test_the_folder_of_a_cgroup_is_found_in_every_layout(
    cgroup: str, mountinfo: str, folder: str | None
) -> None:
    assert folder_of(cgroup, mountinfo) == (None if folder is None else Path(folder))


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the files of a cgroup that contains only pid 77.

    Files of cgroups created below it appear when they are written.
    """
    monkeypatch.setattr(cgroups, "_write", lambda file, text: file.write_text(text))
    made = tmp_path / "runner.service"
    made.mkdir()
    files = {
        "procs": "77\n",
        "controllers": "cpu memory pids\n",
        "subtree_control": "",
        "events": "populated 1\n",
    }
    for name, text in files.items():
        (made / f"cgroup.{name}").write_text(text)
    return made


def test_the_runner_takes_a_delegated_cgroup_and_moves_to_its_leaf(base: Path) -> None:
    assert take_from(base, 77) == Cgroups(base=base, controllers=frozenset({"memory", "pids"}))
    assert (base / "runner" / "cgroup.procs").read_text() == "77"
    assert (base / "cgroup.subtree_control").read_text() == "+memory +pids"
    (base / "cgroup.procs").write_text("")
    (base / new_id()).mkdir()
    assert take_from(base / "runner", 78) == take_from(base, 78)  # as a later runner finds it
    assert len(list(base.glob("*-*"))) == 0


def test_a_cgroup_that_others_use_stays_unchanged(base: Path) -> None:
    (base / "cgroup.procs").write_text("1\n77\n")  # the shell that started the runner
    assert take_from(base, 77) is None
    (base / "cgroup.procs").write_text("77\n")
    (base / "other.scope").mkdir()
    assert take_from(base, 77) is None
    (base / "other.scope").rmdir()
    (base / "cgroup.events").unlink()  # only the root cgroup has none
    assert take_from(base, 77) is None
    assert not (base / "runner").exists()


def test_controllers_that_cannot_be_delegated_are_not_used(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: Path, text: str) -> None:
        if file.name == "cgroup.subtree_control":
            raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(cgroups, "_write", refuse)
    assert take_from(base, 77) == Cgroups(base=base, controllers=frozenset())


def test_the_limits_of_an_execution_are_written_to_its_cgroup(base: Path) -> None:
    made = Cgroups(base=base, controllers=frozenset({"memory", "pids"}))
    execution = new_id()
    folder = made.create(execution, memory=1000, processes=10**9)
    wanted = {
        "memory.max": "1000",
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": str(2**22),
    }
    assert {file.name: file.read_text() for file in folder.iterdir()} == wanted
    assert not made.is_out_of_memory(execution)
    (folder / "memory.events").write_text("low 0\nmax 31\noom 1\noom_kill 1\n")
    assert made.is_out_of_memory(execution)
    assert not made.is_out_of_memory(new_id())


def test_a_cgroup_that_cannot_be_created_is_a_spawn_error_with_the_reason(base: Path) -> None:
    with pytest.raises(
        SpawnError, match=r"its cgroup '.*/absent/x' cannot be created: No such file or directory"
    ):
        Cgroups(base=base / "absent", controllers=frozenset()).create("x")


def test_members_include_cgroups_below_and_only_ended_executions_are_killed(base: Path) -> None:
    made = Cgroups(base=base, controllers=frozenset())
    runs, ended, empty = new_id(), new_id(), new_id()
    for name in (runs, f"{ended}/deeper", empty):
        (base / name).mkdir(parents=True)
    (base / ended / "cgroup.procs").write_text("5\n6\n")
    (base / ended / "deeper" / "cgroup.procs").write_text("7\n")
    assert made.members(ended) == {5, 6, 7}
    assert made.members(new_id()) == set()
    assert made.end({ended, new_id()}) == {ended}  # the files keep the folder, as processes would
    assert (base / ended / "cgroup.kill").read_text() == "1"
    assert not (base / runs / "cgroup.kill").exists()
    assert sorted(path.name for path in base.iterdir() if path.is_dir()) == sorted(
        (runs, ended, empty)
    )
