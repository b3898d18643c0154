"""Strict by default: 64-bit numbers, no silent rank promotion; warnings are errors (pyproject)."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
