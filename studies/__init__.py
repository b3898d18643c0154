"""Reproducible studies: every module here is one, found by `physnet list`."""
