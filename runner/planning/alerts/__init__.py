"""The checks of requests and of the runner: when an alert opens, and when it closes. Pure."""
