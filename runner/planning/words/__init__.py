"""Settings and states in the words that people read. Pure."""
