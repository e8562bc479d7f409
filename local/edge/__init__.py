"""The AWS APIs of the emulation on LocalStack's port: Lambda, and S3 as the object store speaks it."""
