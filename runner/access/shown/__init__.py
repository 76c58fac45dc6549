"""What commands and the page show of requests and records, in the same words."""
