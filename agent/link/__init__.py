"""The host's side of the guest link (`agent/guest/wire.py` defines it). What comes from a guest is an attacker's input."""
