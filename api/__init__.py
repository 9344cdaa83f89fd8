"""How the world reaches Mooring: routes, command line, demo."""
