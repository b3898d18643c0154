"""How steady states are found: one relaxer to a file."""
