"""How equilibria move, meet and vanish as one number changes: continuation and what is special on the way."""
