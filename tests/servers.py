"""Ways into the servers of a test run, beside the product's own."""

from local.testing.services import broker as create_vhost
from local.testing.services import management, named, postgres

__all__ = ["create_vhost", "management", "named", "postgres"]
