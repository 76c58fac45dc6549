"""The runner itself: one thread owns all state; it reads, decides, commits, spawns, reaps
and writes.
"""
