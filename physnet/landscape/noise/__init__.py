"""What weak noise does to a state that would otherwise rest: rates of escape, in theory and simulated."""
