"""Code that runs in the spawned process, before the user's program or beside it.

Each program here has one thread, and starts fast: it imports almost nothing.
"""
