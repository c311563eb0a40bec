"""What all services share."""

from dataclasses import dataclass

from api.clock import Clock
from api.db.database import Database
from api.db.wakeups import Waker
from api.faults import NO_FAULTS, Faults
from api.hosts.registry import HostRegistry
from api.services.cluster import Cluster
from api.services.quotas import Quotas
from api.services.tasks import Tasks


@dataclass(frozen=True, slots=True)
class Resources:
    """One database and its id, one set of hosts, one clock, one owner of tasks, the sender of wake-ups, and the limits
    of teams. `shares_emulated` says whether several teams may have sandboxes on one host that emulates its machines."""

    database: Database
    hosts: HostRegistry
    clock: Clock
    tasks: Tasks
    waker: Waker
    cluster: Cluster
    quotas: Quotas
    shares_emulated: bool = True
    faults: Faults = NO_FAULTS
