"""Documents: parsed, measured and validated once, then remembered."""

from collections import OrderedDict
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    parse,
    validate,
)

from api.schema.limits import DocumentLimits, check_limits, field_names
from api.schema.tokens import check_tokens

REMEMBERED_DOCUMENTS_MAX = 256
REMEMBERED_DOCUMENT_CHARACTERS_MAX = 8_192
"""256 documents of 8,192 characters, and their trees of at most 2,000 tokens: about 100 MiB in the worst case."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document that may be executed."""

    node: DocumentNode
    operations: dict[str | None, OperationDefinitionNode]
    selected: frozenset[str]
    """The names of all fields in it."""
    root_fields: frozenset[str]
    """Those of them that are the names of root fields; some may only stand deeper."""

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation to execute.

        Raises:
            GraphQLError: there is none of this name, or there are several and no name is given.
        """
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        found = self.operations.get(name)
        if found is not None:
            return found
        message = (
            "The document has several operations; say which with `operationName`."
            if name is None
            else "The document has no operation of the name in `operationName`."
        )
        raise GraphQLError(message, extensions={"code": "BAD_USER_INPUT"})


class DocumentErrors(Exception):
    """A document that cannot be executed, with everything that is wrong with it."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


class Documents:
    """Turns texts into documents. The result depends on the text only, so it is shared by all callers."""

    def __init__(self, schema: GraphQLSchema, limits: DocumentLimits | None = None) -> None:
        self._schema = schema
        self._limits = limits or DocumentLimits()
        self._remembered: OrderedDict[str, Document] = OrderedDict()

    def prepare(self, text: str) -> Document:
        """The document of a text.

        Raises:
            DocumentErrors: it does not parse, exceeds a limit, or is not valid. Such texts are not remembered.
        """
        known = self._remembered.get(text)
        if known is not None:
            self._remembered.move_to_end(text)
            return known
        document = self._read(text)
        if len(text) <= REMEMBERED_DOCUMENT_CHARACTERS_MAX:
            self._remembered[text] = document
            if len(self._remembered) > REMEMBERED_DOCUMENTS_MAX:
                self._remembered.popitem(last=False)
        return document

    def _read(self, text: str) -> Document:
        exceeded = check_tokens(text, tokens_max=self._limits.tokens)
        if exceeded is not None:
            raise DocumentErrors([exceeded])
        node = self._parse(text)
        exceeded = check_limits(node, self._limits)
        if exceeded is not None:
            raise DocumentErrors([exceeded])
        errors = validate(self._schema, node)
        if errors:
            raise DocumentErrors([_coded(error, "GRAPHQL_VALIDATION_FAILED") for error in errors])
        operations = {
            definition.name.value if definition.name else None: definition
            for definition in node.definitions
            if isinstance(definition, OperationDefinitionNode)
        }
        if not operations:
            error = GraphQLError("The document has no operation.", extensions={"code": "GRAPHQL_VALIDATION_FAILED"})
            raise DocumentErrors([error])
        return Document(node, operations, field_names(node), self._root_fields(node))

    def _root_fields(self, node: DocumentNode) -> frozenset[str]:
        roots = (self._schema.query_type, self._schema.mutation_type, self._schema.subscription_type)
        names = {name for root in roots if root is not None for name in root.fields}
        return field_names(node) & names

    def _parse(self, text: str) -> DocumentNode:
        try:
            return parse(text, max_lexical_tokens=self._limits.tokens, max_comments=self._limits.comments)
        except GraphQLSyntaxError as error:
            raise DocumentErrors([_coded(error, _syntax_code(error))]) from None


def _syntax_code(error: GraphQLSyntaxError) -> str:
    # graphql-core tells its limits from mistakes by the text only; a test holds it to these
    if "nested too deeply" in error.message:
        return "DOCUMENT_TOO_DEEP"
    return "TOO_MANY_TOKENS" if "contains more than" in error.message else "GRAPHQL_PARSE_FAILED"


def _coded(error: GraphQLError, code: str) -> GraphQLError:
    error.extensions = {**(error.extensions or {}), "code": code}
    return error


def is_mutation(operation: OperationDefinitionNode) -> bool:
    """Whether it changes anything: such operations are never abandoned halfway."""
    return operation.operation is OperationType.MUTATION


def is_subscription(operation: OperationDefinitionNode) -> bool:
    """Whether it is a stream."""
    return operation.operation is OperationType.SUBSCRIPTION
