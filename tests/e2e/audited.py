"""`python audited.py SCRIPT FOLDER [OPTION ...]`: the control plane of that script, whose API server notes in
FOLDER/audit.log what our service accounts ask for."""

import json
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {
            "level": "Metadata",
            "users": [f"system:serviceaccount:kube-system:vpc-rc-{role}" for role in ("watcher", "worker", "webhook")],
        },
        {"level": "None"},
    ],
}


def main(script: str, folder: str) -> None:
    loader = SourceFileLoader("control_plane", script)
    spec = spec_from_loader("control_plane", loader)
    assert spec is not None
    module: Any = module_from_spec(spec)
    loader.exec_module(module)

    class Audited(module.ControlPlane):  # type: ignore[misc]  # of a script
        def spawn(self, name: str, *arguments: str) -> None:
            if name == "kube-apiserver":
                policy = Path(folder) / "audit-policy.json"
                policy.write_text(json.dumps(POLICY))
                log = Path(folder) / "audit.log"
                arguments = (*arguments, f"--audit-policy-file={policy}", f"--audit-log-path={log}")
            super().spawn(name, *arguments)

    module.ControlPlane = Audited
    sys.argv[:2] = [script]
    module.main()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
