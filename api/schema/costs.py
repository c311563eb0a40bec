"""How much an operation asks for, before it is executed.

Every field costs 1, and what stands below the `nodes` or `edges` of a list as often as the page has items: its `first`
or `last`, or what a page has without them. One walk over the syntax tree with each fragment measured once: it takes
time in proportion to the document, however often fragments are spread.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

from api.domain.page import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX

COST_MAX = 20_000
"""Four full pages of sandboxes with everything that there is to know of each cost 17,000."""
_ITEMS = frozenset({"nodes", "edges"})
_PAGE = frozenset({"first", "last"})


class _Cost(NamedTuple):
    """Of a selection: what it costs once, and what it costs for each item of the page that it is a part of."""

    once: int = 0
    by_item: int = 0


class _Walk:
    """Over one document, with the variables of one request and the defaults of one operation."""

    def __init__(
        self, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
    ) -> None:
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._defaults = {
            definition.variable.name.value: definition.default_value
            for definition in operation.variable_definitions or ()
        }
        self._variables = variables
        self._measured: dict[str, _Cost] = {}

    def selection_set(self, node: SelectionSetNode | None) -> _Cost:
        once = by_item = 0
        for selection in node.selections if node is not None else ():
            if isinstance(selection, FieldNode):
                cost = self._field(selection)
            elif isinstance(selection, FragmentSpreadNode):
                cost = self._fragment(selection.name.value)
            elif isinstance(selection, InlineFragmentNode):
                cost = self.selection_set(selection.selection_set)
            else:
                raise TypeError(f"No such selection exists: {selection.kind}")
            once, by_item = once + cost.once, by_item + cost.by_item
        return _Cost(once, by_item)

    def _field(self, field: FieldNode) -> _Cost:
        if field.selection_set is None:
            return _Cost(1)
        below = self.selection_set(field.selection_set)
        things = self._things(field)
        if things is not None:
            return _Cost(1 + below.once * things)
        if field.name.value in _ITEMS:
            return _Cost(1, below.once)
        return _Cost(1 + below.once + below.by_item * self._page(field))

    def _fragment(self, name: str) -> _Cost:
        known = self._measured.get(name)
        if known is None:
            # validation has refused fragments that contain themselves, and unknown ones
            known = self._measured[name] = self.selection_set(self._fragments[name].selection_set)
        return known

    def _page(self, field: FieldNode) -> int:
        """How many items the page has at most. What is no size is refused when the field is executed."""
        sizes = [self._number(argument.value) for argument in field.arguments or () if argument.name.value in _PAGE]
        return min(max((size for size in sizes if size is not None), default=PAGE_SIZE_DEFAULT), PAGE_SIZE_MAX)

    def _things(self, field: FieldNode) -> int | None:
        """How many things a field is asked for by their ids; None for all other fields."""
        for argument in field.arguments or ():
            if argument.name.value == "ids":
                value = self._value(argument.value)
                given = value.values if isinstance(value, ListValueNode) else value
                return len(given) if isinstance(given, list | tuple) else 1
        return None

    def _number(self, node: Any) -> int | None:
        value = self._value(node)
        if isinstance(value, IntValueNode):
            # a number of thousands of digits is no size, and takes long to read
            return int(value.value) if len(value.value) < len(str(2**31)) else PAGE_SIZE_MAX
        return max(value, 0) if isinstance(value, int) else None

    def _value(self, node: Any) -> Any:
        if not isinstance(node, VariableNode):
            return node
        name = node.name.value
        return self._variables[name] if name in self._variables else self._defaults.get(name)


def cost_of(document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any] | None) -> int:
    """The cost of an operation of a valid document."""
    cost = _Walk(document, operation, variables or {}).selection_set(operation.selection_set)
    return cost.once + cost.by_item


def check_cost(cost: int) -> None:
    """Raises: GraphQLError with the code `OPERATION_TOO_COSTLY`."""
    if cost > COST_MAX:
        raise GraphQLError(
            f"The operation costs {cost:,}, more than {COST_MAX:,}: ask for fewer fields, or for smaller pages.",
            extensions={"code": "OPERATION_TOO_COSTLY"},
        )
