"""What is seen from outside of how the server does: `/health`, `/metrics` and their readings."""
