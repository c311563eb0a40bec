"""The host's side of the guest link (`agent/guest/wire.py` defines it). A guest is an attacker."""
