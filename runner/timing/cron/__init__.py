"""Cron expressions: reading them, when they fire, and those of other schedulers. Pure."""
