"""Which version of a jobs folder is in force: its git commit, and whether it differs from it.

The commit is read from git's own files, which is fast (`commits`). Only git itself can
compare the folder with it: a child process runs `git status`, and the runner takes the
answer when it is ready (`git_status`). `revision` combines both.
"""
