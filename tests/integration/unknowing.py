"""A role of the product that has never heard of one instance type: EC2 is asked for its limits."""

import sys
from pathlib import Path

UNKNOWN = "m5.xlarge"

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from cli.__main__ import main
    from common.model import limits

    known = limits.load_limits
    limits.load_limits = lambda override=None: {
        name: of for name, of in known(override).items() if name != UNKNOWN
    }  # fmt: skip
    main()
