"""Logged-in browser sessions on real Chromium."""
