"""Measurements: none is a test, all are run by hand on a quiet machine."""
