"""What invokes functions besides HTTP: a queue's messages, and time."""
