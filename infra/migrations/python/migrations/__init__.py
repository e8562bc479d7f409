"""Database revisions: plain SQL, applied by the function `migrate`."""
