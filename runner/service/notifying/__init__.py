"""Sends what people are to hear of alerts, and pings, while the runner runs."""
