"""What the control plane and an agent say to each other: signed orders, and how a node joins."""
