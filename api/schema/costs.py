"""How much an operation asks for, before it is executed.

Every field costs 1, and what stands below a list as often as the list has items: a page as many as its `first` or
`last`, or what a page has without them; things that are asked for by their ids as many as there are; every other list
what `_ITEMS` says. One walk over the syntax tree with each fragment measured once: it takes time in proportion to the
document, however often fragments are spread.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)

from api.domain.page import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX

COST_MAX = 50_000
"""Of a query or mutation: about a second of the processor. A full page of sandboxes with everything that there is to
know of each costs 12,000."""
STREAM_COST_MAX = 150_000
"""Of a subscription: the same, for its first event. What the dashboard wants of 1,000 sandboxes costs 80,000."""
ITEMS_DEFAULT = 10
"""Of a list that is nobody's to make long: labels, stages, allowed actions."""
_ITEMS: Mapping[tuple[str, str], int] = {
    ("SandboxesReset", "sandboxes"): 1000,
    ("Admin", "drift"): 1000,
    ("Admin", "hosts"): 100,
    ("ForkSandboxPayload", "children"): 100,
    ("Viewer", "teams"): 100,
}
_PAGES = frozenset({"nodes", "edges"})
_SIZES = frozenset({"first", "last"})


class _Cost(NamedTuple):
    """Of a selection: what it costs once, and what it costs for each item of the page that it is a part of."""

    once: int = 0
    by_item: int = 0


class _Walk:
    """Over one document, with the variables of one request and the defaults of one operation."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> None:
        self._schema = schema
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._defaults = {
            definition.variable.name.value: definition.default_value
            for definition in operation.variable_definitions or ()
        }
        self._variables = variables
        self._measured: dict[str, _Cost] = {}

    def selection_set(self, node: SelectionSetNode | None, parent: GraphQLNamedType | None) -> _Cost:
        once = by_item = 0
        for selection in node.selections if node is not None else ():
            if isinstance(selection, FieldNode):
                cost = self._field(selection, parent)
            elif isinstance(selection, FragmentSpreadNode):
                cost = self._fragment(selection.name.value)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                inner = parent if condition is None else self._schema.type_map.get(condition.name.value)
                cost = self.selection_set(selection.selection_set, inner)
            else:
                raise TypeError(f"No such selection exists: {selection.kind}")
            once, by_item = once + cost.once, by_item + cost.by_item
        return _Cost(once, by_item)

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> _Cost:
        if node.selection_set is None:
            return _Cost(1)
        field = _defined(parent, node.name.value)
        # below `__schema` nothing has a type here, and nothing is long
        below = self.selection_set(node.selection_set, None if field is None else get_named_type(field.type))
        if parent is not None and field is not None and _is_list(field):
            if node.name.value in _PAGES and "ids" not in field.args:
                return _Cost(1, below.once)
            return _Cost(1 + below.once * self._items(node, parent))
        return _Cost(1 + below.once + below.by_item * self._page(node))

    def _fragment(self, name: str) -> _Cost:
        known = self._measured.get(name)
        if known is None:
            # validation has refused fragments that contain themselves, and unknown ones
            node = self._fragments[name]
            condition = self._schema.type_map.get(node.type_condition.name.value)
            known = self._measured[name] = self.selection_set(node.selection_set, condition)
        return known

    def _page(self, node: FieldNode) -> int:
        """How many items the page has at most. What is no size is refused when the field is executed."""
        sizes = [self._number(argument.value) for argument in node.arguments or () if argument.name.value in _SIZES]
        return min(max((size for size in sizes if size is not None), default=PAGE_SIZE_DEFAULT), PAGE_SIZE_MAX)

    def _items(self, node: FieldNode, parent: GraphQLNamedType) -> int:
        for argument in node.arguments or ():
            if argument.name.value == "ids":
                value = self._value(argument.value)
                given = value.values if isinstance(value, ListValueNode) else value
                return len(given) if isinstance(given, list | tuple) else 1
        return _ITEMS.get((parent.name, node.name.value), ITEMS_DEFAULT)

    def _number(self, node: Any) -> int | None:
        value = self._value(node)
        if isinstance(value, IntValueNode):
            # a number of thousands of digits is no size, and takes long to read
            return max(int(value.value), 0) if len(value.value) < len(str(2**31)) else PAGE_SIZE_MAX
        # JSON has one kind of numbers
        return max(int(value), 0) if isinstance(value, int | float) and abs(value) < 2**31 else None

    def _value(self, node: Any) -> Any:
        if not isinstance(node, VariableNode):
            return node
        name = node.name.value
        return self._variables[name] if name in self._variables else self._defaults.get(name)


def _defined(parent: GraphQLNamedType | None, name: str) -> GraphQLField | None:
    return parent.fields.get(name) if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else None


def _is_list(field: GraphQLField) -> bool:
    type_ = field.type
    return isinstance(type_.of_type if isinstance(type_, GraphQLNonNull) else type_, GraphQLList)


def cost_of(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any] | None,
) -> int:
    """The cost of an operation of a valid document.

    Raises:
        GraphQLError: with the code `OPERATION_TOO_COSTLY`.
    """
    root = schema.get_root_type(operation.operation)
    measured = _Walk(schema, document, operation, variables or {}).selection_set(operation.selection_set, root)
    cost = measured.once + measured.by_item
    limit = STREAM_COST_MAX if operation.operation is OperationType.SUBSCRIPTION else COST_MAX
    if cost > limit:
        # the cost itself can have thousands of digits where fragments double
        raise GraphQLError(
            f"The operation costs more than {limit:,}: ask for fewer fields, or for smaller pages.",
            extensions={"code": "OPERATION_TOO_COSTLY"},
        )
    return cost
