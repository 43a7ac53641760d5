"""A deployment to watch: ``make demo``."""
