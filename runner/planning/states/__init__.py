"""The durable state of a request and of its parts: spans, pauses, backfills, results. Pure."""
