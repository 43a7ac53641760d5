"""The composition root, and the few words that all apps share."""

__version__ = "0.9.0"
