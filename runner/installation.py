"""How Runner was installed, and which extras are there. Reads the installed metadata.

The sources are direct_url.json and INSTALLER of the installed distribution (Python's
"Recording installed projects"), and the files in environments that pipx and uv own.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import Distribution, PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

DISTRIBUTION = "yaml-job-runner"
EXTRAS = {"alerts": "apprise", "calendars": "holidays", "fleet": "psycopg", "web": "fastapi"}
"""What an extra of the distribution installs: the module that is imported."""
_OWNED_BY = {"pipx_metadata.json": "pipx", "uv-receipt.toml": "uv tool"}
"""Files at the top of an environment that pipx or `uv tool` owns."""
_UVX_FOLDERS = ("archive-v", "environments-v")
"""The beginnings of the folders in uv's cache that hold environments of `uvx`."""


class InstallMethod(StrEnum):
    """A way of installing Runner."""

    CHECKOUT = "checkout"
    EDITABLE = "editable"
    PIP = "pip"
    PIPX = "pipx"
    UV = "uv"
    UV_TOOL = "uv tool"
    UVX = "uvx"
    PACKAGE = "distribution package"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An installed Runner."""

    method: InstallMethod
    folder: Path
    """The environment; of a checkout or an editable installation, the source folder."""
    source: str | None = None
    """The URL of the wheel, archive or repository; None if it came from a package index."""
    libraries: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What each extra requires, such as {"alerts": ("apprise>=1.9",)}."""
    extras: tuple[str, ...] = ()
    """The extras that are there."""

    @property
    def words(self) -> str:
        """Return how and where Runner was installed, in words."""
        match self.method:
            case InstallMethod.CHECKOUT:
                return f"not installed, runs from {self.folder}"
            case InstallMethod.EDITABLE:
                return f"installed from the clone {self.folder}, editable"
            case InstallMethod.PACKAGE:
                return f"installed by a package of the system in {self.folder}"
            case _:
                return f"installed with {self.method} in {self.folder}"

    def command_for(self, extras: Iterable[str]) -> str:
        """Return the shell command that adds extras to this installation."""
        wanted_extras = tuple(extras)
        names = ",".join(wanted_extras)
        libraries = [
            library
            for extra in wanted_extras
            for library in self.libraries.get(extra, (EXTRAS[extra],))
        ]
        at = f" @ {self.source}" if self.source else ""
        wanted = f"{DISTRIBUTION}[{names}]"
        # uv makes these environments anew, and would drop an extra that it is not told.
        whole = f"{DISTRIBUTION}[{','.join(sorted({*self.extras, *wanted_extras}))}]"
        pip = [sys.executable, "-m", "pip", "install"]
        if find_spec("pip") is None:
            pip = ["uv", "pip", "install", "--python", sys.executable]
        match self.method:
            case InstallMethod.PIPX:
                command = ["pipx", "inject", DISTRIBUTION, *libraries]
            case InstallMethod.UVX:
                command = ["uvx", "--from", whole + at, "runner"]
            case InstallMethod.UV_TOOL:
                command = ["uv", "tool", "install", "--force", whole + at]
            case InstallMethod.EDITABLE:
                command = [*pip, "-e", f"{self.folder}[{names}]"]
            case InstallMethod.PIP | InstallMethod.UV:
                command = [*pip, wanted + at]
            case InstallMethod.CHECKOUT:
                command = [*pip, *libraries]
            case InstallMethod.PACKAGE:
                command = ["sudo", *pip, *libraries]
        return shlex.join(command)


def installation() -> Installation:
    """Return how the running program was installed."""
    distribution = _own_distribution()
    if distribution is None:
        return Installation(
            method=InstallMethod.CHECKOUT, folder=_package().parent, extras=present_extras()
        )
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        folder = Path(unquote(urlsplit(origin["url"]).path))
        return Installation(
            method=InstallMethod.EDITABLE,
            folder=folder,
            libraries=_libraries(distribution),
            extras=present_extras(),
        )
    return Installation(
        method=_way(distribution),
        folder=Path(sys.prefix),
        source=_source(origin),
        libraries=_libraries(distribution),
        extras=present_extras(),
    )


def present_extras() -> tuple[str, ...]:
    """Return the extras whose libraries are installed."""
    return tuple(extra for extra, module in EXTRAS.items() if find_spec(module) is not None)


def missing_extra(extra: str) -> str:
    """Return the sentence that an extra is missing, with the command that installs it."""
    command = installation().command_for([extra])
    return f"the extra `{extra}` is not installed: {command}"


def summary() -> str:
    """Return how Runner was installed, and which extras are there, in one line."""
    found = installation()
    missing = [extra for extra in EXTRAS if extra not in found.extras]
    parts = [found.words, f"extras: {', '.join(found.extras) or 'none'}"]
    if missing:
        parts.append(f"not installed: {', '.join(missing)} ({found.command_for(missing)})")
    return "; ".join(parts)


def _way(distribution: Distribution) -> InstallMethod:
    for name, owner in _OWNED_BY.items():
        if Path(sys.prefix, name).is_file():
            return InstallMethod(owner)
    if any(part.startswith(_UVX_FOLDERS) for part in Path(sys.prefix).parts):
        return InstallMethod.UVX
    installer = (distribution.read_text("INSTALLER") or "pip").strip()
    return InstallMethod(installer) if installer in ("pip", "uv") else InstallMethod.PACKAGE


def _source(origin: dict[str, object]) -> str | None:
    match origin:
        case {"url": str(url), "vcs_info": {"vcs": str(system), "commit_id": str(commit)}}:
            return f"{system}+{url}@{commit}"
        case {"url": str(url)}:
            return url
    return None


def _own_distribution() -> Distribution | None:
    """Return the installed distribution, if the running program is part of it.

    In a checkout, another installation may be on the path.
    """
    try:
        distribution = Distribution.from_name(DISTRIBUTION)
    except PackageNotFoundError:
        return None
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        owned = Path(unquote(urlsplit(origin["url"]).path), "runner")
    else:
        owned = Path(str(distribution.locate_file("runner")))
    return distribution if owned.resolve() == _package() else None


def _libraries(distribution: Distribution) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for requirement in distribution.requires or ():
        library, _, marker = requirement.partition(";")
        for extra in EXTRAS:
            if marker.strip() in (f"extra == '{extra}'", f'extra == "{extra}"'):
                found[extra] = (*found.get(extra, ()), library.strip())
    return found


def _package() -> Path:
    return Path(__file__).resolve().parent
