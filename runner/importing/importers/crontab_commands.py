"""What a command of a crontab is likely to do, by the words that it consists of. Pure."""

from __future__ import annotations

import re

PROGRAMS = frozenset([
    "ansible", "aws", "awk", "bundle", "bzip2", "cat", "certbot", "chgrp", "chmod",
    "chown", "cp", "curl", "cut", "date", "dd", "df", "diff", "docker", "du", "echo",
    "file", "find", "git", "grep", "gzip", "head", "install", "kill", "ln", "logger",
    "logrotate", "ls", "mail", "make", "mkdir", "mount", "mv", "mysql", "mysqldump",
    "node", "npm", "openssl", "pg_dump", "podman", "printf", "psql", "rm", "rmdir",
    "rsync", "scp", "sed", "sort", "ssh", "stat", "su", "systemctl", "tail", "tar",
    "tee", "test", "touch", "truncate", "wc", "wget", "which", "xargs", "xz", "zip",
])  # fmt: skip
"""Programs whose first argument often is a path."""
_SILENT = re.compile(r"(?:&>>?|>&)\s*/dev/null\s*$|>>?\s*/dev/null\s+2>>?\s*(?:&1|/dev/null)\s*$")
"""The end of a command that discards all of its output."""
_SAYS_NOTHING = frozenset(
    ["cd", "test", "[", "[[", "export", "set", "umask", "sleep", "source", "."]
)
"""Commands that normally print nothing."""
_NO_PROGRAM = {
    "cd", "test", "[", "[[", "if", "then", "set", "export", "sleep", "umask", ".",
    "source", "command", "!",
}  # fmt: skip
_WRAPPERS = {
    "sudo", "nice", "ionice", "env", "timeout", "chronic", "exec", "time", "nohup",
    "flock", "setlock",
}  # fmt: skip
_INTERPRETERS = re.compile(r"(python|perl|php|ruby|node|java|bash|dash|sh|zsh)[\d.]*")


def is_silent(command: str) -> bool:
    """Return whether a command discards all of its output, so that cron mails nothing.

    >>> is_silent("cd /srv && ./post >/dev/null 2>&1"), is_silent("./post >/dev/null")
    (True, False)
    """
    # The input after an unescaped % is not part of the command line.
    shown = command.partition("%")[0] if "\\%" not in command else command
    parts = [part.strip() for part in re.split(r"&&|\|\||;|\|(?!\|)", shown) if part.strip()]
    return bool(parts) and all(
        _SILENT.search(part) or part.split()[0] in _SAYS_NOTHING for part in parts
    )


def runs_another(word: str) -> bool:
    """Return whether a word always begins a command: a shell builtin, wrapper or interpreter."""
    return word in _NO_PROGRAM or word in _WRAPPERS or _INTERPRETERS.fullmatch(word) is not None


def command_and_input(text: str) -> tuple[str, str | None]:
    r"""Split a command and its standard input at the first unescaped `%` (crontab(5)).

    In both parts `\%` is a percent sign. Each further `%` of the input is a line break,
    and the input ends with one.

    >>> command_and_input(r"date +\%F")
    ('date +%F', None)
    >>> command_and_input("mail -s hello maria%Dear Maria,%bye")
    ('mail -s hello maria', 'Dear Maria,\nbye\n')
    """
    # Split at each unescaped %. An escape sequence is a separator too, so that it stays
    # whole; `or ""` drops the group that did not match.
    pieces = re.split(r"((?:\\.)+)|(%)", text)
    command, *lines = "".join("\n" if piece == "%" else piece or "" for piece in pieces).split("\n")
    texts = [part.replace("\\%", "%") for part in (command, *lines)]
    return texts[0], "\n".join(texts[1:]).removesuffix("\n") + "\n" if lines else None


def program_in(command: str) -> str:
    """Guess a name for a shell line: its first real program, without folder and extension.

    >>> program_in("cd /srv && nice -n 10 /usr/bin/python3 -u tools/post.py --all >/dev/null 2>&1")
    'post'
    """
    for part in re.split(r"&&|\|\||[;|(){}]", command):
        words = part.split()
        if words and words[0] not in _NO_PROGRAM and (found := _first_program(words)):
            return found
    return ""


def _first_program(words: list[str]) -> str:
    after_flock = False  # the first argument of flock is a lock file, not a program
    for word in words:
        name = word.strip("\"'").rpartition("/")[2]
        if (
            word.startswith(("-", ">", "<", "2>", "$"))
            or "=" in word
            or not re.search(r"[A-Za-z]", name)
        ):
            continue
        if after_flock:
            after_flock = False
        elif name in _WRAPPERS:
            after_flock = name in {"flock", "setlock"}
        elif not _INTERPRETERS.fullmatch(name):
            return re.sub(r"\.\w{1,4}$", "", name)
    return ""
