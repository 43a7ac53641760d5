"""Lengths of columns that several models share."""

MAX_NAME_LENGTH = 128
MAX_URL_LENGTH = 2048
