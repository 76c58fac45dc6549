"""What a YAML file means: from bytes to frozen values, with every problem at its place."""
