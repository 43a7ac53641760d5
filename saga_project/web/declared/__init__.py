"""Configuration as one document: apply it, export it, and the schema that editors check it by."""
