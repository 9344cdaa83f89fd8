"""The web server: sockets, connections and websockets, from the start to the drain."""
