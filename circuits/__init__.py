"""Circuits: volts, amperes, siemens. Co-content is the energy; its minimum is the operating point."""
