"""Writing files that hold secrets."""

from pathlib import Path


def write(path: Path, content: bytes, mode: int) -> None:
    """Replace the file. It is made anew with its mode: a secret is at no moment readable by others."""
    path.unlink(missing_ok=True)
    path.touch(mode, exist_ok=False)
    path.write_bytes(content)
