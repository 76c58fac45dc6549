"""Starts processes, watches them, and ends their whole tree.

Touches processes, /proc and output files.
"""
