"""Lengths of columns that several models share."""

from saga_project.shared import rules

MAX_NAME_LENGTH = rules.MAX_NAME_LENGTH
MAX_URL_LENGTH = rules.MAX_URL_LENGTH
