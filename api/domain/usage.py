"""What a team uses."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Blocks on the disks of hosts, as hosts last said, not sizes of files."""

    sandbox_bytes: int
    template_bytes: int

    @property
    def disk_bytes(self) -> int:
        """All of it."""
        return self.sandbox_bytes + self.template_bytes
