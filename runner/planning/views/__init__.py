"""What the commands show of requests, plans and the past, as values. Pure."""
