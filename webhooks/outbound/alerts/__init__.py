"""Alerts: problems that begin and end in the events, and the messages that rules send about them."""
