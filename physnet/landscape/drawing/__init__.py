"""Landscapes drawn from their datasets, on axes that the caller gives; without JAX."""
