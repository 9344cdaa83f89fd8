"""The chat page: talk to the assistant from a browser."""
