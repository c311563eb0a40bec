"""The platform on one computer: its programs, started in order, watched, and stopped in order."""
