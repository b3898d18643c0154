"""What separates equilibria: the saddles between them, what each connects, paths over them, the tree they make."""
