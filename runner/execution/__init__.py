"""Processes: starting them, watching them, ending their whole tree. Touches processes,
/proc and output files.
"""
