"""Pages of Describe answers: MaxResults and NextToken."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

from sandbox.ec2.errors import Ec2Fault
from sandbox.ec2.table import Record

R = TypeVar("R", bound=Record)
MIN_PAGE = 5
MAX_PAGE = 1000


def page(
    records: Sequence[R], params: dict[str, Any], *, ids: Sequence[str], largest: int = MAX_PAGE
) -> tuple[list[R], str | None]:
    """One page of `records` (ordered by serial) and the token for the next, None at the end.

    Without MaxResults everything is one page. The token holds the last serial given, so records that come and go
    between two pages neither repeat nor hide others.
    Raises InvalidParameterValue, InvalidParameterCombination (MaxResults beside ids) and InvalidPaginationToken.
    """
    size, token = params.get("MaxResults"), params.get("NextToken")
    if size is not None and not MIN_PAGE <= size <= largest:
        raise Ec2Fault("InvalidParameterValue", f"MaxResults must be between {MIN_PAGE} and {largest}.")
    if size is not None and ids:
        raise Ec2Fault("InvalidParameterCombination", "The list of ids cannot be used with the parameter maxResults")
    after = _after(token) if token else 0
    rest = [record for record in records if record.serial > after]
    if size is None or len(rest) <= size:
        return rest, None
    return rest[:size], _token(rest[size - 1].serial)


def _token(serial: int) -> str:
    return base64.urlsafe_b64encode(f"after:{serial}".encode()).decode()


def _after(token: str) -> int:
    try:
        word, _, serial = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if word != "after":
            raise ValueError(token)
        return int(serial)
    except (ValueError, binascii.Error) as error:
        raise Ec2Fault("InvalidPaginationToken", "The specified pagination token is not valid.") from error
