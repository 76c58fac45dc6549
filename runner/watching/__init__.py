"""Notices changes in a jobs folder and wakes the runner. Touches watchdog."""
