"""A folder of files as a catalog: its good requests, and the rejected documents beside them."""
