"""The operating system and its traps: files that may be anything, calls that may hang,
signals, memory, trust.
"""
