"""What a session is. Knows the engine, knows no HTTP."""
