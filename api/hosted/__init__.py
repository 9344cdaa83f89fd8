"""The visitor's side of hosted sessions: the pages at `/s/<token>`, and their live line."""
