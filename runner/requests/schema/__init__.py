"""Checks a document against the JSON schema, and words each violation with its fix. Pure."""
