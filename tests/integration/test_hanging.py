"""A runner whose mounts and name services hang: what hangs fails by itself, and
everything else goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import textwrap
from pathlib import Path

import pytest
from support.hung_mount import hung, needs_hung_mount
from support.place import SECONDLY, Place, end_of, wait_until

HANGING = {
    "the directory": {"command": ["true"], "directory": "{hung}"},
    "the directory, for the launcher": {
        "command": ["true"],
        "directory": "{hung}",
        "umask": "022",
        "timeout": "1s",
    },
    "an environment file": {"command": ["true"], "environment_file": "{hung}/environment"},
    "a folder of PATH": {"command": ["anything"], "environment": {"PATH": "{hung}:/usr/bin"}},
    "the program": {"command": ["{hung}/program"]},
    "the interpreter of the program": {"command": ["{here}/script"]},
}
NAME_SERVICE = textwrap.dedent("""
    #include <pwd.h>
    #include <string.h>
    #include <sys/types.h>
    #include <unistd.h>

    int getpwnam_r(const char *name, struct passwd *user, char *buffer, size_t size,
                   struct passwd **found) {
        if (strcmp(name, "unknown") == 0) for (;;) pause();
        user->pw_name = "nobody"; user->pw_passwd = ""; user->pw_gecos = ""; user->pw_dir = "/";
        user->pw_shell = "/bin/sh"; user->pw_uid = user->pw_gid = 65534;
        *found = user;
        return 0;
    }

    int getgrouplist(const char *name, gid_t group, gid_t *groups, int *count) { for (;;) pause(); }
""")
"""A library in place of the name service: it never says who `unknown` is, nor in which
groups anybody is.
"""


def assert_others_fire(place: Place, *, since: int) -> None:
    """Check that the request `other` goes on, and that none of its fires was missed, in
    the records from a place on.
    """
    count = len(place.finished("other"))
    place.await_finished("other", count=count + 2)
    fires = [record for record in place.records()[since:] if record.get("request") == "other"]
    assert {record.get("status", "success") for record in fires} <= {"success", "processing"}


@needs_hung_mount
@pytest.mark.parametrize("process", HANGING.values(), ids=HANGING)
def test_what_hangs_at_its_start_fails_alone_while_others_fire(
    place: Place, process: dict[str, object]
) -> None:
    mount, script = place.folder / "hung", place.folder / "script"
    mount.mkdir()
    script.write_text(f"#!{mount}/interpreter\n")
    script.chmod(0o755)
    text = json.dumps({"process": process, "timing": "run_immediately"})
    place.declare("other", "true", SECONDLY)
    runner = place.start()
    with hung(mount):
        before = len(place.records())
        place.write(
            "hangs.yaml", text.replace("{hung}", str(mount)).replace("{here}", str(place.folder))
        )
        (ended,) = place.await_finished("hangs", within_s=60)
        assert ended["status"] == "error"
        if ended["reason"] != "timeout":
            assert ended["reason"] == "spawn_failed"
            assert "has not answered" in ended["message"]
        assert_others_fire(place, since=before)
        assert place.stop(runner) == 0


@needs_hung_mount
def test_a_start_that_hangs_can_be_killed_and_does_not_hold_up_a_stop(place: Place) -> None:
    mount = place.folder / "hung"
    mount.mkdir()
    runner = place.start()
    with hung(mount):
        for name in ("first", "second"):
            place.declare(name, "true", directory=str(mount))
        assert place.run("reload").returncode == 0
        asking = [place.begin("exec", name) for name in ("first", "second")]
        wait_until(
            lambda: len(place.items("status")[0]["running"]) == 2, what="both to be on their way"
        )
        assert place.run("kill", "first").returncode == 0
        (killed,) = place.await_finished("first")
        assert (killed["status"], killed["reason"]) == ("killed", "killed_by_user")
        assert place.stop(runner) == 0
        assert len(place.finished("second")) == 1
        assert all(end_of(each)[0] for each in asking)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("gcc") is None, reason="needs root and gcc")
@pytest.mark.parametrize("user", ["unknown", "nobody"])
def test_a_name_service_that_hangs_fails_the_execution_while_others_fire(
    place: Place, user: str
) -> None:
    library = compiled(place.folder, NAME_SERVICE)
    place.environment["LD_PRELOAD"] = str(library)
    place.declare("other", "true", SECONDLY)
    runner = place.start()
    before = len(place.records())
    place.declare("hangs", "true", "run_immediately", run_as={"user": user})
    (ended,) = place.await_finished("hangs", within_s=60)
    assert (ended["status"], ended["reason"]) == ("error", "spawn_failed")
    assert "name service" in ended["message"]
    assert_others_fire(place, since=before)
    assert place.stop(runner) == 0


def compiled(folder: Path, source: str) -> Path:
    """Compile a library that can be preloaded."""
    library = folder / "library.so"
    command = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=source, text=True, check=True, timeout=60)
    return library


@needs_hung_mount
def test_a_jobs_folder_that_hangs_holds_up_no_fire_no_command_and_no_stop(place: Place) -> None:
    place.declare("other", "true", SECONDLY, directory="/")
    runner = place.start()
    place.await_finished("other")
    before = len(place.records())
    with hung(place.jobs):
        wait_until(lambda: "has not answered" in place.console(), what="a word about it")
        assert_others_fire(place, since=before)
        runner.send_signal(signal.SIGHUP)
        assert_others_fire(place, since=before)
    wait_until(lambda: "works again" in place.console(), what="a word about its end")
    place.declare("late", "true", "run_immediately", directory="/")
    place.await_finished("late")
    with hung(place.jobs):
        wait_until(lambda: place.console().count("has not answered") == 2, what="a word about it")
        assert place.stop(runner) == 0


@needs_hung_mount
def test_a_folder_below_the_jobs_folder_that_hangs_holds_up_no_fire(place: Place) -> None:
    place.declare("other", "true", SECONDLY)
    below = place.jobs / "below"
    below.mkdir()
    runner = place.start()
    before = len(place.records())
    with hung(below):
        place.declare("another", "true")
        assert_others_fire(place, since=before)
        wait_until(lambda: "has not answered" in place.console(), what="a word about it")
    place.declare("late", "true", "run_immediately")
    place.await_finished("late")
    assert place.stop(runner) == 0


@needs_hung_mount
def test_a_start_whose_jobs_folder_hangs_below_ends_at_a_stop(place: Place) -> None:
    place.declare("once", "true", "run_immediately")
    with hung(place.jobs / "below"):
        runner = place.launch()
        wait_until(lambda: _hangs(runner.pid), what="a thread that waits for the folder")
        assert place.stop(runner) == 0, place.console()
    assert not place.events("execution.started")


def _hangs(pid: int) -> bool:
    """Return whether a thread of a process waits for an answer of the file system."""
    waits = Path(f"/proc/{pid}/task").glob("*/wchan")
    return any("fuse" in wait.read_text() or "request" in wait.read_text() for wait in waits)
