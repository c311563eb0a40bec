"""What every object with a global id has in common."""

import strawberry


@strawberry.interface(description="An object with an id that is unique in the whole platform.")
class Node:
    id: strawberry.ID = strawberry.field(description="Its global id: a prefix that names the kind, then a UUID.")
