"""How large and how intricate a document may be.

One walk over the syntax tree, before validation, since validation and execution take time that grows faster than the
document. Each fragment is measured once and its measures are reused wherever it is spread, so the walk is linear even
where fragments double fragments.
"""

from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """Limits of one document. Counts are of what it expands to, with every fragment in every place of its use."""

    tokens: int = 2_000
    comments: int = 1_000
    depth: int = 15
    """What the standard introspection query needs."""
    aliases: int = 30
    root_fields: int = 20
    directives: int = 50


class _Measures(NamedTuple):
    depth: int = 0
    aliases: int = 0
    directives: int = 0
    fields: int = 0
    """Fields at the top level of the selection, not below."""

    def beside(self, other: "_Measures") -> "_Measures":
        return _Measures(
            max(self.depth, other.depth),
            self.aliases + other.aliases,
            self.directives + other.directives,
            self.fields + other.fields,
        )


class _Walk:
    def __init__(self, document: DocumentNode) -> None:
        self.fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self.measured: dict[str, _Measures] = {}

    def selection_set(self, node: SelectionSetNode | None) -> _Measures:
        total = _Measures()
        for selection in node.selections if node is not None else ():
            directives = len(selection.directives or ())
            if isinstance(selection, FieldNode):
                inner = self.selection_set(selection.selection_set)
                alias = 0 if selection.alias is None else 1
                found = _Measures(inner.depth + 1, inner.aliases + alias, inner.directives + directives, 1)
            elif isinstance(selection, FragmentSpreadNode):
                found = self.fragment(selection.name.value).beside(_Measures(directives=directives))
            elif isinstance(selection, InlineFragmentNode):
                inner = self.selection_set(selection.selection_set)
                found = inner.beside(_Measures(directives=directives))
            else:
                raise TypeError(f"No such selection exists: {selection.kind}")
            total = total.beside(found)
        return total

    def fragment(self, name: str) -> _Measures:
        known = self.measured.get(name)
        if known is not None:
            return known
        # a fragment that contains itself counts nothing here: validation refuses it with a better message
        self.measured[name] = _Measures()
        node = self.fragments.get(name)
        if node is not None:
            inner = self.selection_set(node.selection_set)
            self.measured[name] = inner.beside(_Measures(directives=len(node.directives or ())))
        return self.measured[name]


def field_names(document: DocumentNode) -> frozenset[str]:
    """The names of all fields that occur in a document, wherever they stand. It has to be within its limits."""
    names: set[str] = set()
    waiting: list[SelectionSetNode] = [
        node.selection_set
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode | OperationDefinitionNode)
    ]
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FieldNode):
                names.add(selection.name.value)
            inner = getattr(selection, "selection_set", None)
            if inner is not None:
                waiting.append(inner)
    return frozenset(names)


def root_field_count(document: DocumentNode, operation: OperationDefinitionNode) -> int:
    """How many fields an operation has at its root, with every fragment in its place."""
    return _Walk(document).selection_set(operation.selection_set).fields


def check_limits(document: DocumentNode, limits: DocumentLimits) -> GraphQLError | None:
    """The first limit that an operation of this document exceeds, or None. The document may be invalid."""
    walk = _Walk(document)
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode):
            continue
        measures = walk.selection_set(node.selection_set)
        directives = measures.directives + len(node.directives or ())
        for code, what, count, limit in (
            ("DOCUMENT_TOO_DEEP", "levels", measures.depth, limits.depth),
            ("TOO_MANY_ALIASES", "aliases", measures.aliases, limits.aliases),
            ("TOO_MANY_ROOT_FIELDS", "fields at its root", measures.fields, limits.root_fields),
            ("TOO_MANY_DIRECTIVES", "directives", directives, limits.directives),
        ):
            if count > limit:
                # the count itself can have thousands of digits where fragments double
                return GraphQLError(
                    f"The operation has more than {limit} {what}; split it into several.", extensions={"code": code}
                )
    return None
