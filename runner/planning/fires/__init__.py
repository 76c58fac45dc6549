"""When a request fires next, what is due, and what status follows. Pure."""
