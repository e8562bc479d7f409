"""HTTP in front of the functions."""
