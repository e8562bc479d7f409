"""The business: what a user, a photo, a task and a result are, and their rules."""
