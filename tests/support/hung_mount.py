"""A mount that hangs: a FUSE file system whose server does not answer (Linux, root)."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SERVER = """
import ctypes, os, struct, sys
folder = os.fsencode(sys.argv[1])
library = ctypes.CDLL(None, use_errno=True)
device = os.open("/dev/fuse", os.O_RDWR)
options = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % device
if library.mount(b"hung", folder, b"fuse.hung", 0, options):
    sys.exit(os.strerror(ctypes.get_errno()))
_, _, unique, *_ = struct.unpack("<IIQ", os.read(device, 1 << 18)[:16])
answer = struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0)
os.write(device, struct.pack("<IiQ", 16 + len(answer), 0, unique) + answer)
print("mounted", flush=True)
sys.stdin.read()
"""
"""The server answers only the greeting of the kernel (FUSE_INIT), so every access hangs."""


def _may_mount() -> bool:
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError:
        return False
    return os.geteuid() == 0


needs_hung_mount = pytest.mark.skipif(
    not _may_mount(), reason="needs /dev/fuse and the right to mount"
)


@contextmanager
def hung(folder: Path) -> Iterator[None]:
    """Make a folder hang; afterwards every waiting access fails and the folder is as before."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", SERVER, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        if server.stdout.readline() != "mounted\n":
            pytest.skip("this machine does not let its root mount a file system")
        try:
            yield
        finally:
            server.kill()  # which closes the device: then the kernel answers for it
            server.wait()
            ctypes.CDLL(None).umount2(os.fsencode(folder), 2)  # MNT_DETACH
