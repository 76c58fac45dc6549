"""The tests do not inherit signals, variables and masks of the process that starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from support.place import ROOT

HOSTILE = {
    "LC_ALL": "C",
    "TZ": "Asia/Kathmandu",
    "COLUMNS": "40",
    "FORCE_COLOR": "1",
    "RUNNER_STATE": "/nonexistent",
    "GIT_DIR": "/nonexistent",
    "XDG_STATE_HOME": "/nonexistent",
    "NOTIFY_SOCKET": "/nonexistent",
}


def test_no_signal_is_ignored_and_none_blocked() -> None:
    ignored = {
        number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN
    }
    assert ignored <= {signal.SIGPIPE, signal.SIGXFSZ}  # by Python itself
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_no_variable_configures_runner_git_or_the_terminal() -> None:
    assert not HOSTILE.keys() & os.environ.keys()
    assert time.timezone == int(time.mktime(time.gmtime(0)))
    mask = os.umask(0o022)
    assert mask == 0o022


def test_inherited_signals_variables_and_masks_are_removed() -> None:
    script = 'trap "" INT HUP USR1; umask 077; exec "$@"'
    # Only the other tests of this file: this one would start itself for ever.
    others = (
        test_no_signal_is_ignored_and_none_blocked,
        test_no_variable_configures_runner_git_or_the_terminal,
    )
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider"]
    command += [f"{__file__}::{test.__name__}" for test in others]
    environment = {
        name: value for name, value in os.environ.items() if name not in ("HOME", "LANG")
    }
    done = subprocess.run(
        ["sh", "-c", script, "sh", *command],
        cwd=ROOT,
        env={**environment, **HOSTILE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
