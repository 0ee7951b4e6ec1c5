"""Another client of the same EC2 account, which uses some of an operation's request limit."""

import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from typing import Self

from tests.integration.rig import SUBNET

CREATE = "CreateNetworkInterface"


class OtherClient:
    """As a context: calls evenly, `rate` times a second, from a thread. The calls change nothing (DryRun) but count
    against the limit."""

    def __init__(self, ec2_url: str, rate: float) -> None:
        self.rate = rate
        self.calls = 0
        form = {"Action": CREATE, "Version": "2016-11-15", "SubnetId": SUBNET, "DryRun": "true"}
        self._request = urllib.request.Request(ec2_url, urllib.parse.urlencode(form).encode())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="other client", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        following = time.monotonic()
        while not self._stop.wait(max(0.0, following - time.monotonic())):
            following += 1 / self.rate
            self.calls += 1
            with suppress(urllib.error.HTTPError):  # DryRunOperation, or refused as ours are.
                urllib.request.urlopen(self._request, timeout=5).close()
