"""What a changed file, a pressed button or another zone makes of a state. Pure."""
