"""The state of a request between two runs: how it follows fires, its file, buttons,
clock steps and zones. Pure.
"""
