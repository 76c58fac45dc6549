"""A node of a fleet: it stands by while another one leads, and leads when that one fails."""
