"""The host agent: one per host, it does what the control plane decides."""
