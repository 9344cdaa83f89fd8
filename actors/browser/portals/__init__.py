"""The portals that Mooring can log in to, one file each."""
