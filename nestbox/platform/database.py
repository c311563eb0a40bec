"""The platform's database for a single command, whether the platform runs or not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nestbox.data_dir import prepare_data_dir
from nestbox.database import NAME, check_given, postgres_folder, start_embedded
from nestbox.errors import Problem
from nestbox.platform.keys import migrate
from nestbox.platform.layout import Layout
from nestbox.platform.lock import hold_lock
from nestbox.postgres import Postgres


@asynccontextmanager
async def reached_database(layout: Layout) -> AsyncIterator[str]:
    """The URL of the platform's database as the role that serves, migrated; the embedded server is started for a moment
    unless it runs.

    Raises: Problem
    """
    settings = layout.settings
    if settings.database_url:
        await check_given(settings)
        await migrate(layout, settings.database_url, settings.database_owner_url or "")
        yield settings.database_url
        return
    prepare_data_dir(settings.data_dir)
    running = Postgres.attach(postgres_folder(settings.data_dir))
    if running is not None:
        yield running.url(NAME)
        return
    try:
        with hold_lock(settings.data_dir), start_embedded(settings.data_dir) as server:
            await migrate(layout, server.url(NAME), server.owner_url(NAME))
            yield server.url(NAME)
    except Problem as problem:
        if "runs on" in problem.message:
            raise Problem("Nestbox is just starting or stopping.", "Try again in a few seconds.") from problem
        raise


def running_database(layout: Layout) -> str | None:
    """The URL of the platform's database as it is, nothing started and nothing migrated; None if it does not run.

    Raises: Problem when an older version runs it.
    """
    settings = layout.settings
    if settings.database_url:
        return settings.database_url
    running = Postgres.attach(postgres_folder(settings.data_dir))
    return None if running is None else running.url(NAME)
