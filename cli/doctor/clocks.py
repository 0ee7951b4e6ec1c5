"""Clocks: leases, cool-downs and EC2's signatures compare times of different machines."""

from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from cli.doctor.finding import Finding, State
from cli.doctor.reads import Invoke
from common.clock import Clock
from common.ec2.errors import answer_in, translate
from common.kube.transport import HttpTransport
from common.store.link import Link

AREA = "Clocks"
TOLERATED_SECONDS = 5.0

Reading = Callable[[], float | None]
"""Epoch seconds by somebody's clock; None where it does not say. Raises ControllerError."""


def compare(whose: str, read: Reading, clock: Clock) -> Iterator[Finding]:
    """Against our own, at the middle of the call; the call's own time is tolerated."""
    began = clock.now()
    theirs = read()
    ended = clock.now()
    what = f"clock of {whose}"
    if theirs is None:
        yield Finding(area=AREA, what=what, state=State.UNKNOWN, advice="It does not tell its time")
        return
    ahead = theirs - (began + ended) / 2
    if abs(ahead) <= TOLERATED_SECONDS + (ended - began) / 2:
        yield Finding(area=AREA, what=what)
        return
    direction = "ahead of" if ahead > 0 else "behind"
    advice = f"It is {abs(ahead):.0f} s {direction} this machine's: whichever of the two is wrong must follow NTP"
    yield Finding(area=AREA, what=what, state=State.WRONG, advice=advice, where="compared with this machine")


def of_redis(link: Link) -> Reading:
    def read() -> float:
        seconds, micros = link.command("TIME")
        return int(seconds) + int(micros) / 1e6

    return read


def of_api_server(transport: HttpTransport) -> Reading:
    return lambda: _http_date(transport.server_date())


def of_ec2(invoke: Invoke) -> Reading:
    """A refusal carries EC2's time, too: one for a wrong clock above all."""

    def read() -> float | None:
        operation = "DescribeInstances"
        answer: Mapping[str, Any]
        try:
            answer = invoke(operation, {"DryRun": True})
        except Exception as error:
            answer = answer_in(error)
            ours = translate(operation, error)
            if not answer and ours is not None:
                raise ours from error
            if ours is None:
                raise
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        return _http_date(str(headers.get("date", "")))

    return read


def _http_date(text: str) -> float | None:
    """Half a second later than it says: it leaves fractions out."""
    try:
        return parsedate_to_datetime(text).timestamp() + 0.5
    except ValueError:
        return None
