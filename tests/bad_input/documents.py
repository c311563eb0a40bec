"""GraphQL documents that are made to be dear: small to send, large to walk."""


def doubling_fragments(count: int) -> str:
    """Fragments that each spread the next one twice: written out, 2 to the power of `count` selections."""
    doubled = " ".join(f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(count))
    return f"{{ ...f0 }} {doubled} fragment f{count} on Query {{ viewer {{ keyName }} }}"


def doubling_fields(count: int) -> str:
    """The same, each level below a field of its own, so that it is deep as well."""
    both = 'fragment f{0} on Query {{ a: node(id: "x") {{ ...f{1} }} b: node(id: "x") {{ ...f{1} }} }}'
    doubled = " ".join(both.format(n, n + 1) for n in range(count))
    return f"{{ ...f0 }} {doubled} fragment f{count} on Query {{ viewer {{ keyName }} }}"


def cycle(count: int) -> str:
    """Fragments that spread each other in a ring."""
    ring = " ".join(f"fragment f{n} on Query {{ ...f{(n + 1) % count} }}" for n in range(count))
    return f"{{ ...f0 }} {ring}"


def deep_fields(depth: int) -> str:
    """Fields in fields."""
    return "{" + "a{" * (depth - 1) + "a" + "}" * depth


def deep_lists(depth: int) -> str:
    """Lists in lists, as an argument."""
    return "{ node(id: " + "[" * depth + "]" * depth + ") { id } }"


def aliases(count: int) -> str:
    """The same field under many names."""
    return "{ " + " ".join(f"x{n}: viewer {{ keyName }}" for n in range(count)) + " }"


def directives(count: int) -> str:
    """Many of them at one field."""
    return "{ viewer " + "@skip(if: false) " * count + "{ keyName } }"


def unknown_fields(count: int) -> str:
    """Fields that no type has, each of which is a mistake of its own."""
    return "{ viewer { " + " ".join(f"a{n}" for n in range(count)) + " } }"
