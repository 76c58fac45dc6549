"""Whole process trees: what /proc says of them, signals to them, orphans, control groups."""
