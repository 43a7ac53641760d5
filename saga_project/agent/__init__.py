"""The agent of a node: it has a token and the control plane's public key, but no database and no broker."""
