"""Connections to the database, and what arrives on them."""
