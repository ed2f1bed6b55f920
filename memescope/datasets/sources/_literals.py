"""Python literals found in text files (a list a line, a quoted string a cell), read without running anything."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)


def literal(source: str) -> Any:
    """The value of a Python literal; `ValueError` says what is wrong with it."""
    try:
        with warnings.catch_warnings():
            # Tweets hold backslashes that are no escapes; Python keeps them as they are and warns.
            warnings.simplefilter("ignore")
            return ast.literal_eval(source.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a Python literal: {error}") from None


def unquoted(cell: str) -> str:
    """The text of a cell that holds one quoted Python string, any other cell as it is.

    A text that merely begins or ends with a quotation mark, or quotes twice, is no literal and stays.
    """
    stripped = cell.strip()
    if not _STRING.fullmatch(stripped):
        return cell
    try:
        return str(literal(stripped))
    except ValueError:
        return cell
