"""Why a request fired, or did not, at an instant. Pure."""
