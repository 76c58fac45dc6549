"""What the page follows: the growth of the monitor log, its new records, a fleet's records."""
