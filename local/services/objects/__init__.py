"""An S3 server for one machine: objects on disk, an index in SQLite, signatures checked with botocore's own signer."""
