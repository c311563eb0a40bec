"""What sandboxes and snapshots stand on, as `standing.py` finds it out. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Footing:
    """What one thing stands on. `images` are content ids, in fact one of them; none: it may be any. `layers` are names;
    `layers_in_doubt`: there may be others."""

    images: frozenset[str] = frozenset()
    layers: frozenset[str] = frozenset()
    layers_in_doubt: bool = False

    @property
    def image(self) -> str:
        """The one image; empty if that is not known."""
        return next(iter(self.images), "")


ANYTHING = Footing(layers_in_doubt=True)


@dataclass(frozen=True, slots=True)
class Needs:
    """What everything on a host stands on together."""

    footings: tuple[Footing, ...]
    images: frozenset[str]
    layers: frozenset[str]

    def may_need_image(self, content_id: str) -> bool:
        """Whether something stands on it, or may."""
        return content_id in self.images or self.is_in_doubt

    @property
    def is_in_doubt(self) -> bool:
        """Whether there is something that may stand on any image."""
        return not all(one.images for one in self.footings)

    def may_need_layer(self, name: str, image: str = "") -> bool:
        """The same of a layer; `image` is the one that it lies upon, if that is known."""
        return name in self.layers or any(
            one.layers_in_doubt and (not image or not one.images or image in one.images) for one in self.footings
        )
