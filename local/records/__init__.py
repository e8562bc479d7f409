"""What is remembered of invocations: a small ring on disk, for this machine and its user alone."""
