"""Measurements and faults, run by hand: nothing here is timed in the tests."""
