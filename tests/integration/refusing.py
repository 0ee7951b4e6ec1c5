"""A watcher whose cache cannot take in objects of the name REFUSED: what a fault of ours in one object's decoding is to
the others."""

import sys
from pathlib import Path

REFUSED = "refused"

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from cli.__main__ import main
    from common.kube.decode import identity
    from common.kube.tolerant import Raw
    from watcher import build
    from watcher.cluster_cache import ClusterCache
    from watcher.kinds import Kind

    class Refusing(ClusterCache):
        def apply(self, kind: Kind, event: str, raw: Raw) -> None:
            found = identity(raw)
            if found is not None and found.name == REFUSED and event != "DELETED":
                raise RecursionError("too deep")
            super().apply(kind, event, raw)

    setattr(build, "ClusterCache", Refusing)  # noqa: B010  # no name that it exports
    main()
