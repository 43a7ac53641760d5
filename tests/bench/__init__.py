"""The benches and fault campaigns themselves."""
