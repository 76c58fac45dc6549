"""Notices that something changed in a jobs folder, and only says so. Touches watchdog."""
