"""Errors of the outside worlds, by what has to be decided about them. Codes, never messages, choose the class."""


class ControllerError(Exception):
    """Anything this project raises on purpose."""


class OutsideError(ControllerError):
    """A call to the outside failed. `code` is EC2's or Kubernetes' own; `message` is for people only."""

    operation: str = ""
    """Of EC2 that failed; "" where the API server did."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message


class Throttled(OutsideError):
    """Refused for the rate of calls; the call had no effect."""


class Unsure(OutsideError):
    """The connection broke, timed out or the server failed inside: the call may have taken effect."""


class Unavailable(OutsideError):
    """The call was not made: it is known to fail for all, and another asks meanwhile. The code is of that failure."""


class NotFound(OutsideError):
    """What the call names does not exist (for a release: success)."""


class NotYetFound(OutsideError):
    """NotFound about what was made seconds ago: EC2's answers lag behind its writes, so it proves no absence."""


class Denied(OutsideError):
    """The credentials may not do this, or the account is not allowed to trunk."""


class WrongClock(Denied):
    """The request was signed with a time that is minutes off EC2's: this machine's clock is wrong."""


class SubnetExhausted(OutsideError):
    """InsufficientFreeAddressesInSubnet or InsufficientCidrBlocks."""


class LimitExceeded(OutsideError):
    """An EC2 limit: interfaces, addresses, attachments or groups."""


class InUse(OutsideError):
    """The interface is in use or the device index is taken."""


class TokenMismatch(OutsideError):
    """IdempotentParameterMismatch: the token was used before with other parameters."""


class Conflict(OutsideError):
    """Kubernetes 409: the object changed meanwhile, or is another of the same name."""


class Invalid(OutsideError):
    """The request can never succeed as it stands (bad parameter, HTTP 422 and the like)."""


class StaleToken(ControllerError):
    """The node's lock is not ours any more: somebody else may be writing. Stop without another word."""


class LedgerUnreadable(ControllerError):
    """What Redis holds as a node's ledger is none that this version can read."""


class LedgerNewer(LedgerUnreadable):
    """A newer version of this program wrote the ledger: it is left to workers of that version."""


class StaleTerm(ControllerError):
    """Another watcher leads now, and has written. Stop writing."""


class StoreUnavailable(ControllerError):
    """Redis cannot be reached."""
