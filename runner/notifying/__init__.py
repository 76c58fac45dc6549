"""Notifies people of alerts: which message is due when, and what it says.

Pure, apart from `sending`: a program of its own, which the runner starts to send
messages and pings.
"""
