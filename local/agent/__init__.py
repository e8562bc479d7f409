"""The reference ML agent: takes tasks from the broker, turns a photo into a textured 3D head, and writes it to S3.

It is a client like any other agent: it knows the broker, the task message and S3, and imports nothing of Facet.
"""
