"""The local cloud: services, functions, triggers and the command line around them."""
