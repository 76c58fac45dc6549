"""How a runner notices that its clock, its zone or the zone data changed, and what follows."""
