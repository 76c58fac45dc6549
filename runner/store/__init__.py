"""The durable state of a runner. The store does not interpret requests and records.

`protocol` says what a store does, `rows` what it holds, and `opening` opens one. Only
`opening` knows which database is behind it: at present always SQLite (`sqlite`).
"""
