"""Images and containers by podman, which needs no daemon, with all its files in one folder.

No image registry is needed: the base image is made from Debian's packages. Needs root.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.artefacts import BOUND_S, PIP, run

_NAMES = "golang-github-containernetworking-plugin-dnsname"
"""The package with which containers of a network find each other by name."""
NEEDED = (
    f"this needs root, a Debian, and: apt-get install podman runc debootstrap catatonit {_NAMES}"
)
BASE = "docker.io/library/debian:12-slim"
_LIMITS = '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=1000:1000"]\n'
"""podman's own defaults are above what a machine may allow."""


def is_possible() -> bool:
    """Return whether containers can be run on this machine. A release runs them or fails."""
    if "ARTEFACTS" in os.environ:
        return True
    tools = ("podman", "runc", "debootstrap", "catatonit")
    has_names = Path("/usr/lib/cni/dnsname").exists()
    return os.geteuid() == 0 and has_names and all(shutil.which(tool) for tool in tools)


@dataclass(frozen=True, slots=True, kw_only=True)
class Podman:
    """podman with storage, networks and settings of its own."""

    folder: Path

    @property
    def command(self) -> list[str]:
        """The beginning of each command line."""
        storage = ["--root", f"{self.folder}/storage", "--runroot", f"{self.folder}/run"]
        own = [*storage, "--network-config-dir", f"{self.folder}/networks"]
        # crun refuses machines with both versions of cgroups.
        return ["podman", *own, "--runtime", "runc", "--cgroup-manager", "cgroupfs"]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that name its settings."""
        return {"CONTAINERS_CONF": f"{self.folder}/containers.conf"}

    def __call__(self, *words: str | Path, timeout_s: float = BOUND_S) -> str:
        """Run a subcommand that has to succeed; return its output."""
        return run(
            *self.command,
            *words,
            cwd=self.folder,
            environment=self.environment,
            timeout_s=timeout_s,
        )

    def code(self, *words: str) -> int:
        """Run a subcommand; return its exit code."""
        done = subprocess.run(
            [*self.command, *words],
            env=os.environ | self.environment,
            capture_output=True,
            timeout=BOUND_S,
            check=False,
        )
        return done.returncode

    def make_base(self, release: str, name: str) -> None:
        """Make an image of a minimal Debian."""
        self("import", _minimal_debian(release), name)

    def add_packages(self, base: str, name: str, *packages: str) -> None:
        """Make an image that has some packages of Debian more than another one."""
        folder = self.folder / name
        folder.mkdir()
        add = "apt-get update -qq && apt-get install -y -qq --no-install-recommends"
        (folder / "Containerfile").write_text(f"FROM {base}\nRUN {add} {' '.join(packages)}\n")
        self.build(folder, "-t", name)

    def build(self, context: Path, *options: str | Path) -> None:
        """Build an image with this machine's network and pip settings."""
        own = ["--network", "host", "--pull=never", "--layers=false"]
        self("build", *own, *self.pip_settings(), *options, context)

    def pip_settings(self) -> list[str]:
        """Return the options that give a container this machine's package indexes."""
        mounts, chosen = list[str](), dict[str, str]()
        for setting in run(*PIP, "config", "list", cwd=self.folder).splitlines():
            key, _, value = setting.partition("=")
            words = value.strip("'").split()
            for at, word in enumerate(words):
                path = word.removeprefix("file://")
                if Path(path).is_absolute() and Path(path).exists():
                    words[at] = word.replace(path, f"/mnt{path}")
                    mounts += ["-v", f"{path}:/mnt{path}:ro"]
            chosen.setdefault(key.rpartition(".")[2], " ".join(words))
        lines = ["[global]", *(f"{key} = {value}" for key, value in chosen.items())]
        settings = self.folder / "pip.conf"
        settings.write_text("\n".join(lines) + "\n")
        return [*mounts, "-v", f"{settings}:/etc/pip.conf:ro"]


@cache
def _minimal_debian(release: str) -> Path:
    """Return an archive of the root of a minimal Debian, made once."""
    folder = Path(tempfile.mkdtemp(prefix="debian-"))
    atexit.register(shutil.rmtree, folder)
    root = folder / "root"
    run("debootstrap", "--variant=minbase", release, root, cwd=folder)
    # As in the images of Debian, a crash of the machine may cost the files of a package.
    (root / "etc/dpkg/dpkg.cfg.d/unsafe").write_text("force-unsafe-io\n")
    # debootstrap does not mind a mirror that is some weeks old, so apt should not either.
    (root / "etc/apt/apt.conf.d/old").write_text('Acquire::Check-Valid-Until "false";\n')
    run("tar", "-C", root, "-cf", f"{root}.tar", ".", cwd=folder)
    shutil.rmtree(root)
    return Path(f"{root}.tar")


@contextmanager
def podman() -> Iterator[Podman]:
    """Give podman a new folder, and remove all of it afterwards."""
    # podman takes no longer path than 50 characters, so this is no folder of pytest.
    folder = Path(tempfile.mkdtemp(prefix="podman-"))
    (folder / "networks").mkdir()
    (folder / "containers.conf").write_text(_LIMITS)
    tool = Podman(folder=folder)
    try:
        yield tool
    finally:
        tool("rm", "--force", "--all", "--time", "0")
        tool("network", "prune", "--force")
        shutil.rmtree(folder)
