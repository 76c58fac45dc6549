"""Whole process trees: reading /proc, sending signals, orphans, control groups."""
