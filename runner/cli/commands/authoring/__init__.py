"""The commands for people who write, check and import requests."""
