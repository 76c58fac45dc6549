"""The durable state: one SQLite file in the state folder, owned by one runner. Requests
and records are opaque.
"""
