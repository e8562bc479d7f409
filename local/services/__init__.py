"""The servers Facet needs, as child processes without containers: PostgreSQL, RabbitMQ and an S3 server."""
