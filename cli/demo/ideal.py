"""What EC2's limits alone allow: pure arithmetic on token buckets."""

import math
from collections.abc import Iterable, Mapping

from common.settings import DEFAULT_EC2_RATES, RateLimit

POD_OPERATIONS = ("CreateNetworkInterface", "CreateNetworkInterfacePermission", "AssociateTrunkInterface")
"""Calls per pod: one of each."""


def level(bucket: RateLimit, calls: Iterable[float], now: float) -> float:
    """Tokens in a bucket that was full before the first of these calls (epoch seconds)."""
    tokens, at = bucket.burst, 0.0
    for time in sorted(calls):
        tokens = min(bucket.burst, tokens + (time - at) * bucket.refill) - 1
        at = time
    return min(bucket.burst, tokens + (now - at) * bucket.refill)


def ideal_seconds(pods: int, levels: Mapping[str, float], rates: Mapping[str, RateLimit] = DEFAULT_EC2_RATES) -> float:
    """From the moment at which the buckets stand at `levels` until each operation was allowed once per pod."""
    return max((pods - levels[operation]) / rates[operation].refill for operation in POD_OPERATIONS) if pods else 0.0


def scaled(factor: float) -> dict[str, RateLimit]:
    """The default limits, times a factor."""
    return {
        operation: RateLimit(burst=rate.burst * factor, refill=rate.refill * factor)
        for operation, rate in DEFAULT_EC2_RATES.items()
    }


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
