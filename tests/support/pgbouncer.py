"""PgBouncer before a database of the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, quote, urlsplit

import psycopg
from support.place import wait_until

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
_PORT = 6439  # part of the name of its socket; nothing listens on a network


@contextmanager
def pooled(url: str, *, mode: str, ignored: str) -> Iterator[str]:
    """Run PgBouncer during the block; yield the URL that leads through it.

    It pools by `mode` ("session" or "transaction"), and drops the `ignored` parameters of a
    client.
    """
    assert PGBOUNCER is not None
    parts = urlsplit(url)
    (server,) = parse_qs(parts.query)["host"]
    # The name of a socket is short, and PgBouncer refuses to run as root.
    resources = ExitStack()
    folder = Path(resources.enter_context(TemporaryDirectory(prefix="runner-pool-", dir="/tmp")))
    folder.chmod(0o777)
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={server} user=postgres\n"
        f"[pgbouncer]\nlisten_addr =\nlisten_port = {_PORT}\nunix_socket_dir = {folder}\n"
        f"auth_type = any\npool_mode = {mode}\ndefault_pool_size = 40\n"
        f"ignore_startup_parameters = {ignored}\nlogfile = {folder / 'log'}\n"
    )
    user = ["--user", "nobody"] if os.geteuid() == 0 else []
    own = pwd.getpwnam("nobody").pw_uid if user else os.geteuid()
    os.chown(settings, own, -1)
    command = [PGBOUNCER, "--quiet", *user, str(settings)]
    with resources, subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            through = f"postgresql://postgres@{parts.path}?host={quote(str(folder), safe='')}"
            through += f"&port={_PORT}"
            plain = f"host={folder} port={_PORT} user=postgres dbname={parts.path[1:]}"

            def answers() -> bool:
                with suppress(psycopg.OperationalError), psycopg.connect(plain):
                    return True
                return False

            wait_until(answers, what="PgBouncer")
            yield through
        finally:
            process.terminate()
