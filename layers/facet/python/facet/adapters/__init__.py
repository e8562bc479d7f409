"""What stands between a function and the runtimes that are not AWS Lambda: two pure mappings and a wrapper each."""
