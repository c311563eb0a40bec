"""What a person installs: the `nestbox` command and what it needs to run the platform on one machine."""
