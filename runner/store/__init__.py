"""The durable state: one SQLite file in the state folder, owned by one runner. The store
does not interpret requests and records.
"""
