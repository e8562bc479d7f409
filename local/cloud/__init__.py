"""What `facet up` runs and what the command line asks of it."""
