"""Commands that get a message on their standard input. Touches processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from typing import Any

from runner.notifying.sending.variables import SendError, Variables
from runner.requests.receivers import ReceivingProgram

_PROGRAM_S = 25.0
_LONGEST_LINE = 500


def run(program: ReceivingProgram, payload: Mapping[str, Any], variables: Variables) -> None:
    """Start a command and wait for its end. Raises SendError unless it ends with 0."""
    try:
        process = subprocess.Popen(
            program.command,
            cwd=program.directory,
            env=variables.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=0,
        )
    except OSError as error:
        raise SendError(f"{program.command[0]} could not be started: {error.strerror}") from None
    text = json.dumps(payload, ensure_ascii=False).encode(errors="replace")
    try:
        _, errors = process.communicate(text, timeout=_PROGRAM_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise SendError(f"{program.command[0]} ran longer than {_PROGRAM_S:g} s") from None
    if process.returncode:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        why = f": {last[0][:_LONGEST_LINE]}" if last else ""
        raise SendError(f"{program.command[0]} {_end(process.returncode)}{why}")


def _end(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
