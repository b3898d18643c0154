"""Integrators in time, one file each: adaptive (diffrax) and fixed-step for ensembles, noise and delays."""
