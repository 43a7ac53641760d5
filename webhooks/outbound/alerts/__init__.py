"""Alerts: problems that begin and end in the events, and what rules tell of them."""
