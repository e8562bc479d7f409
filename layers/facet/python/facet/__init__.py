"""How a function reaches the world: HTTP and queue events, tokens, Postgres, S3, RabbitMQ."""
