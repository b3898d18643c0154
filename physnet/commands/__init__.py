"""The commands of `physnet`, one file each: a function `command(arguments)` that returns the exit status."""
