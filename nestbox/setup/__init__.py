"""Installs what is missing. Standard library only: it runs on the system's Python before anything is installed."""
