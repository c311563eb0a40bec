"""The commands of `nestbox`, one file each."""
