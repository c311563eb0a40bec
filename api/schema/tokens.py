"""How many tokens a text has, and how deeply its brackets nest, found before it is parsed.

The parser keeps the same limits itself, but makes an object of each token and each node on its way to them: some 10 ms
of processor time for 2,000 tokens, against half of one here. Only what the parser would refuse as well is refused.
"""

import re

from graphql import GraphQLError

NESTING_MAX = 200
"""Of brackets of all kinds. It is the parser's own limit; fields that nest less deeply are counted by `limits`."""

# Linear for every text: each match begins where the last one ended, and nothing that was matched is tried again. A
# block string that does not end, and what is no token at all, is the parser's to explain: the last two groups.
_TOKEN = re.compile(
    r"""
    (?: [\s,\ufeff]++ | \#[^\r\n]*+ )*+
    (?:
        ([{(\[])
      | ([})\]])
      | \.\.\. | [!$&:=@|]
      | [A-Za-z_][A-Za-z_0-9]*+
      | -?[0-9] (?: [0-9A-Za-z_.] | (?<=[eE])[+-] )*+
      | \"{3} (?: [^"\\]++ | \\\"{3} | \\ | \"(?!\"\") )*+ (?: \"{3} | (\Z) )
      | \" (?: [^"\\\r\n]++ | \\. )*+ \"
      | (\Z | .)
    )
    """,
    re.VERBOSE | re.DOTALL,
)


def check_tokens(text: str, *, tokens_max: int) -> GraphQLError | None:
    """The first of these limits that a text exceeds, or None. The text may be no document at all."""
    nesting = 0
    for count, match in enumerate(_TOKEN.finditer(text)):
        kind = match.lastindex
        if kind is None:
            pass
        elif kind == 1:
            nesting += 1
            if nesting > NESTING_MAX:
                return _refusal("DOCUMENT_TOO_DEEP", f"The document nests more than {NESTING_MAX} brackets.")
        elif kind == 2:
            nesting -= 1
        else:
            return None
        if count >= tokens_max:
            return _refusal(
                "TOO_MANY_TOKENS", f"The document has more than {tokens_max} tokens; split it into several."
            )
    return None


def _refusal(code: str, message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code})
