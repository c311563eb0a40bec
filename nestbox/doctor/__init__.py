"""`nestbox doctor`: what this computer can do, and the mend for what it cannot. Standard library only."""
