"""From data that the schema accepts to frozen values, and their JSON for the store. Pure."""
