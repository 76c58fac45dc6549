"""Who uses the page: tokens and roles, sessions, and how a request shows whose it is."""
