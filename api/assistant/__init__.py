"""Conversations over REST and websocket, as the contract has them."""
