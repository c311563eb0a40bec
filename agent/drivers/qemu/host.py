"""What the driver found out about its host when it was opened."""

from dataclasses import dataclass

from agent.drivers.qemu import prerequisites
from agent.drivers.qemu.accelerator import Verdict
from agent.drivers.qemu.adoption import Adopter
from agent.drivers.qemu.boots import Booter
from agent.drivers.qemu.cgroups import Groups
from agent.drivers.qemu.clones import Cloner
from agent.drivers.qemu.settings import QemuSettings
from agent.drivers.qemu.shapes import Shapes
from agent.drivers.qemu.templates import Templates
from agent.drivers.qemu.uids import UserIds


@dataclass(frozen=True, slots=True)
class Host:
    """Facts, and the parts that were made to fit them."""

    qemu_version: str
    groups: Groups
    uids: UserIds
    changes_user: bool
    raises_limits: bool
    cloner: Cloner
    booter: Booter
    shapes: Shapes
    templates: Templates
    adopter: Adopter

    @property
    def verdict(self) -> Verdict:
        """How machines run here."""
        return self.shapes.verdict

    def shortcomings(self, settings: QemuSettings) -> tuple[str, ...]:
        """What this host cannot give, and how to mend it: a sentence each."""
        sentences = [self.verdict.reason] if self.verdict.reason else []
        sentences += self.groups.shortcomings
        if not self.changes_user:
            sentences.append("All machines run under the agent's user id: run the agent as root to give each its own.")
        elif unreachable := prerequisites.unreachable_folder(settings.data_dir):
            sentences.append(unreachable)
        if not self.raises_limits:
            sentences.append(
                "The limit on a machine's files cannot be raised while it runs: sandboxes with a larger disk than "
                "their template's are not taken from the pool, and machines that an agent from before there was that "
                "limit started have none. Give the agent CAP_SYS_RESOURCE."
            )
        if not (settings.disk_rate.bytes_per_second and settings.disk_rate.operations_per_second):
            sentences.append(
                "Machines may use the disk as fast as it goes, by this host's settings: set "
                "NESTBOX_AGENT_DISK_MB_PER_SECOND and NESTBOX_AGENT_DISK_OPERATIONS_PER_SECOND."
            )
        if problem := prerequisites.namespaces_problem():
            sentences.append(problem)
        return tuple(sentences)
