"""Circuit elements, one to a file."""
