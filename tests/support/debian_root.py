"""A Debian system of its own to install packages in: the machine's files under an overlay,
with namespaces for its mounts and processes. Needs root.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MOUNTS = """
set -e
cd "$0"
mount --make-rprivate /
mount -t tmpfs tmpfs . && cd "$0"
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
mount -t proc proc root/proc
mount --rbind /dev root/dev
mount -t tmpfs tmpfs root/run
mount -t tmpfs tmpfs root/tmp
echo ready
cat
"""


def is_possible() -> bool:
    """Return whether this machine is a Debian on which such a system can be made."""
    if shutil.which("dpkg-deb") is None or shutil.which("unshare") is None:
        return False
    overlay = "mount -t overlay o -o lowerdir=/,upperdir=/tmp/u,workdir=/tmp/w /mnt"
    line = f"mount -t tmpfs t /tmp && mkdir /tmp/u /tmp/w && {overlay}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", line], capture_output=True, timeout=30, check=False
    )
    return done.returncode == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianRoot:
    """The system. Its processes end with it."""

    pid: int
    """Its first process."""
    folder: Path
    """Its root, as its first process names it."""

    @property
    def _enter(self) -> list[str]:
        inside = ["nsenter", "-t", str(self.pid), "-m", "-p", "chroot", str(self.folder)]
        return [*inside, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-ec"]

    def run(self, line: str, *, content: str = "") -> str:
        """Run a shell line as root; return its output, with what it wrote to stderr."""
        done = subprocess.run(
            [*self._enter, line],
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}"
        return done.stdout

    def write(self, path: str, content: str) -> None:
        """Write a file."""
        self.run(f"cat > {path}", content=content)

    def bring(self, file: Path) -> str:
        """Copy a file of the machine into the system; return its path there."""
        with file.open("rb") as source:
            subprocess.run(
                [*self._enter, f"cat > /tmp/{file.name}"], stdin=source, timeout=60, check=True
            )
        return f"/tmp/{file.name}"


@contextmanager
def debian_root(folder: Path) -> Iterator[DebianRoot]:
    """Make a system in an empty folder, and end it with all its processes."""
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    with subprocess.Popen(
        [*own, "sh", "-c", _MOUNTS, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text()
        try:
            yield DebianRoot(pid=int(children), folder=folder / "root")
        finally:
            holder.kill()
