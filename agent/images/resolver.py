"""What the driver asks for the base image of a template, at each start of a sandbox: cheap unless something changed."""

from pathlib import Path

from agent.images import recipe
from agent.images.build import BaseImage, base_image
from agent.images.registry import Registry, UnknownTemplate
from agent.images.tools import Progress


class Resolver:
    """Remembers images. A template that was removed is unknown at once, and one that was made again is the new one."""

    def __init__(self, cache_dir: Path, data_dir: Path, progress: Progress) -> None:
        self._cache_dir = cache_dir
        self._data_dir = data_dir
        self._progress = progress
        self._registry = Registry(data_dir)
        self._known: dict[str, tuple[tuple[int, int] | None, BaseImage]] = {}

    async def __call__(self, name: str) -> BaseImage:
        """See `base_image`. Raises: UnknownTemplate, BuildError."""
        stamp = None if name == recipe.NAME else self._registry.stamp(name)
        if name != recipe.NAME and stamp is None:
            self._known.pop(name, None)
            raise UnknownTemplate(f"This host has no template named {name!r}.")
        known = self._known.get(name)
        if known is not None and known[0] == stamp and known[1].disk.exists():
            return known[1]
        image = await base_image(self._cache_dir, self._data_dir, self._progress, name)
        self._known[name] = stamp, image
        return image
