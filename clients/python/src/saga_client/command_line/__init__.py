"""The command `saga`."""
