"""
Reading SOQL: from text to a tree, with Salesforce's errors for what cannot be read.

sqlglot parses; a pass over its tokens makes up for what SOQL has and SQL has not: unquoted dates, its own escapes in
strings, and nulls first in either order.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from sqlglot import Dialect, Token, TokenType, exp
from sqlglot import Tokenizer as SqlTokenizer
from sqlglot.errors import ParseError, TokenError

from airflow_provider_salesforce_export.sandbox.errors import SalesforceError, soql_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_LENGTH = 100_000
_DATE = r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))?"
# Strings come first, so that what looks like a date inside one is skipped.
_STRING_OR_DATE = re.compile(rf"'(?:[^'\\]|\\.)*'|(?<![\w.:-])(?P<date>{_DATE})(?![\w:])", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "_": "\\_", "%": "\\%"}
_KNOWN_PARTS = {"expressions", "from", "from_", "where", "group", "order", "limit", "offset", "kind"}


class Soql(Dialect):
    """SOQL as a dialect of SQL: backslash escapes, no comments."""

    class Tokenizer(SqlTokenizer):
        """What the text is cut into."""

        QUOTES = ["'"]  # noqa: RUF012 - sqlglot's way of configuring a tokenizer
        STRING_ESCAPES = ["\\"]  # noqa: RUF012
        COMMENTS = []  # noqa: RUF012


_SOQL = Soql()


def parse(soql: str) -> exp.Select:
    """
    Parse a query. Dates come out as raw strings, all other literals as sqlglot has them.

    :param soql: The query.
    :raises SalesforceError: It is too long or not SOQL (MALFORMED_QUERY).
    """
    if len(soql) > MAX_LENGTH:
        raise SalesforceError(400, "MALFORMED_QUERY", "SOQL statements cannot be longer than 100000 characters.")
    try:
        cut = list(_with_nulls_first(_with_dates(soql, _SOQL.tokenize(soql))))
    except TokenError:
        raise soql_error("MALFORMED_QUERY", "unexpected token: '<EOF>'", soql, len(soql)) from None
    _refuse_stray_commas(soql, cut)
    try:
        trees = _SOQL.parser().parse(cut, soql)
    except ParseError as error:
        raise _unexpected(soql, cut, error) from None
    return _one_select(soql, trees)


def position(node: exp.Expression) -> int:
    """
    Return the index in the query of the first character of a part of it.

    :param node: A part of the tree.
    """
    starts = [found.meta["start"] for found in node.find_all(exp.Identifier) if "start" in found.meta]
    return min(starts, default=0)


def unexpected(soql: str, token: str, at: int) -> SalesforceError:
    """
    Return the error for something that has no place in a query.

    :param soql: The query.
    :param token: What stands there.
    :param at: Index of its first character.
    """
    return soql_error("MALFORMED_QUERY", f"unexpected token: '{token}'", soql, at)


def _with_dates(soql: str, cut: list[Token]) -> Iterator[Token]:
    """Join the tokens of each date to one raw string, and undo SOQL's escapes in strings."""
    dates = [match.span() for match in _STRING_OR_DATE.finditer(soql) if match["date"]]
    for token in cut:
        while dates and dates[0][1] <= token.start:
            dates.pop(0)
        if dates and dates[0][0] <= token.start:
            if token.start == dates[0][0]:
                yield _token(TokenType.RAW_STRING, soql[slice(*dates[0])], token)
        elif token.token_type == TokenType.STRING:
            yield _token(TokenType.STRING, _unescape(soql[token.start + 1 : token.end]), token)
        else:
            yield token


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), text)


def _with_nulls_first(cut: Iterator[Token]) -> Iterator[Token]:
    """Say NULLS FIRST after DESC where the query does not say: SQL's default differs from SOQL's."""
    descending: Token | None = None
    for token in cut:
        if descending is not None and token.text.upper() != "NULLS":
            yield from _nulls_first(descending)
        yield token
        descending = token if token.token_type == TokenType.DESC else None
    if descending is not None:
        yield from _nulls_first(descending)


def _nulls_first(after: Token) -> Iterator[Token]:
    yield _token(TokenType.VAR, "NULLS", after)
    yield _token(TokenType.VAR, "FIRST", after)


def _token(kind: TokenType, text: str, at: Token) -> Token:
    return Token(kind, text, at.line, at.col, at.start, at.end)


def _refuse_stray_commas(soql: str, cut: list[Token]) -> None:
    """Refuse ``Id,, Name`` and ``Id, FROM``, which sqlglot forgives and Salesforce does not."""
    for token, following in pairwise(cut):
        if token.token_type == TokenType.COMMA and following.token_type in {TokenType.COMMA, TokenType.FROM}:
            raise unexpected(soql, following.text, following.start)


def _unexpected(soql: str, cut: list[Token], error: ParseError) -> SalesforceError:
    details = error.errors[0] if error.errors else {}
    at = cast("int", details.get("col") or len(soql)) - len(details.get("highlight") or "")
    blamed = [token for token in cut if token.start >= at]
    missing = "unexpected token" not in str(details.get("description", "")).lower()
    if not blamed or (missing and len(blamed) == 1):
        return unexpected(soql, "<EOF>", len(soql))
    return unexpected(soql, blamed[missing].text, blamed[missing].start)


def _one_select(soql: str, trees: Sequence[object]) -> exp.Select:
    if len(trees) != 1 or not isinstance(trees[0], exp.Select):
        raise unexpected(soql, soql.split(maxsplit=1)[0] if soql.split() else "<EOF>", 0)
    tree = trees[0]
    for name, part in tree.args.items():
        if part and name not in _KNOWN_PARTS:
            first = part[0] if isinstance(part, list) else part
            raise unexpected(soql, name.rstrip("_").upper(), position(first))
    if not tree.expressions or tree.find(exp.From) is None:
        raise unexpected(soql, "<EOF>", len(soql))
    for identifier in tree.find_all(exp.Identifier):
        if identifier.args.get("quoted"):
            raise unexpected(soql, '"', position(identifier))
    return tree
