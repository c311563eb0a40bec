"""What hosts are told for each kind of command."""

from typing import assert_never
from uuid import UUID

from api.db import forks, sandboxes, templates
from api.db.database import Database
from api.domain.machine import Machine
from api.domain.operation import Operation, OperationKind
from api.domain.sandbox import Sandbox
from api.errors import Internal
from api.hosts.client import HostClient
from api.services.cluster import Cluster


class Calls:
    """Makes the call of a command. What a host has to know and no record carries is read for it."""

    def __init__(self, database: Database, cluster: Cluster) -> None:
        self._database = database
        self._cluster = cluster

    async def send(
        self, client: HostClient, sandbox: Sandbox, operation: Operation, environment: dict[str, str] | None
    ) -> Machine:
        """Tells the sandbox's host, and returns the machine as it is when that is done. `environment` None: as the
        database has it.

        Raises: HostCallError. Unavailable: the database does not answer; the host was told nothing.
        """
        generation = operation.generation
        match operation.kind:
            case OperationKind.CREATE:
                if environment is None:
                    environment = await sandboxes.environment(self._database, sandbox.id)
                return await client.create(sandbox, generation, environment, await self._cluster.id())
            case OperationKind.PAUSE:
                return await client.pause(sandbox.id, generation)
            case OperationKind.RESUME:
                return await client.resume(sandbox.id, generation, sandbox.timeout_sec, sandbox.cause)
            case OperationKind.DELETE:
                return await client.destroy(sandbox.id, generation)
            case OperationKind.START:
                return await client.start(sandbox.id, generation, sandbox.timeout_sec)
            case OperationKind.CREATE_TEMPLATE:
                return await self._snapshot(client, sandbox.id, operation)
            case OperationKind.FORK:
                children = await forks.children(self._database, operation.id)
                return await client.fork(
                    sandbox.id, generation, snapshot_id=operation.id, children=[child.id for child in children]
                )
            case OperationKind.DELETE_TEMPLATE:
                raise Internal("A template is deleted in another way.", detail=str(operation.id))
            case _:
                assert_never(operation.kind)

    async def _snapshot(self, client: HostClient, sandbox_id: UUID, operation: Operation) -> Machine:
        template = None
        if operation.template_id is not None:
            template = await templates.load(self._database, operation.template_id)
        if template is None:
            raise Internal("A template that is to be made has no row.", detail=str(operation.id))
        return await client.snapshot(
            sandbox_id, operation.generation, template_id=template.id, template_name=template.name
        )
