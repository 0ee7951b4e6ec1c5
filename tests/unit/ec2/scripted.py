"""An EC2 that answers from a list and remembers what it was asked."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from common.ec2.api import ID_PARAMETERS, Ec2
from common.ec2.gate import OpenGate

Answer = dict[str, Any] | Exception | Callable[[dict[str, Any]], dict[str, Any]]


class Script:
    """`invoke` for `Ec2`: per action the answers in order; the last one is given again and again."""

    def __init__(self, **answers: Answer | list[Answer]) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._answers = {action: list(some) if isinstance(some, list) else [some] for action, some in answers.items()}

    def __call__(self, action: str, params: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((action, params))
        answers = self._answers[action]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(params) if callable(answer) else answer

    @property
    def params(self) -> dict[str, Any]:
        """Parameters of the last call."""
        return self.calls[-1][1]

    def count(self) -> dict[str, int]:
        counts: dict[str, int] = defaultdict(int)
        for action, _ in self.calls:
            counts[action] += 1
        return dict(counts)

    def ec2(self) -> Ec2:
        return Ec2(self, OpenGate())


def fault(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "X",
    )


def filters_of(params: dict[str, Any]) -> dict[str, list[str]]:
    """What was asked for, ids under the name of their filter."""
    ids = {name: params[parameter] for name, parameter in ID_PARAMETERS.items() if parameter in params}
    return {**ids, **{one["Name"]: one["Values"] for one in params.get("Filters", ())}}
