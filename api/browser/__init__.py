"""Browser sessions over REST, and what happens to them over websocket."""
