"""Django's PostgreSQL backend, which asks nothing of a server that ``watch`` knows to be silent."""
