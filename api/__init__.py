"""The control plane: decides what sandboxes should be, and tells everybody what they are."""
