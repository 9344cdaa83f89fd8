"""The partner API: hosted sessions, accounts, keys and webhooks over HTTP."""
