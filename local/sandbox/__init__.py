"""Execution environments: processes that import one function and take one event at a time."""
