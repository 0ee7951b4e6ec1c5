"""Carries out deploy/Dockerfile without a container engine: `python -m tests.runtime.image FOLDER`.

FOLDER becomes the root of the image: a path of the Dockerfile that begins with `/` is taken below it. The base image is
an environment of this Python. Not tried: the base image itself, USER, and that nothing else is written. What a RUN made
is kept beside FOLDER, and used again while nothing before it has changed, as an engine's layers are.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

CONTEXT = Path(__file__).resolve().parents[2]
DOCKERFILE = CONTEXT / "deploy" / "Dockerfile"
BASE = "/usr/local"
"""Where the base image has its Python."""
Step = tuple[str, str]
"""Instruction and arguments."""


def steps() -> list[Step]:
    """What the Dockerfile says, continued lines joined."""
    lines = "\n".join(line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#"))
    found = [line.split(maxsplit=1) for line in lines.replace("\\\n", " ").splitlines() if line.strip()]
    return [(name, " ".join(rest)) for name, *rest in found]


def below(root: Path, text: str) -> str:
    """The text with its absolute paths below the root."""
    return re.sub(r"(?<![^\s=:\"'])/(?=\w)", f"{root}/", text)


def context() -> list[PurePosixPath]:
    """Files that the build may copy: what Dockerfile.dockerignore leaves."""
    lines = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    rules = [(_pattern(line.lstrip("!")), line[0] != "!") for line in lines if line and line[0] != "#"]

    def left_out(path: PurePosixPath) -> bool:
        """By the last rule that speaks of it or of a folder above it."""
        names = [str(each) for each in (path, *path.parents)]
        verdicts = [leaves_out for pattern, leaves_out in rules if any(map(pattern.fullmatch, names))]
        return bool(verdicts) and verdicts[-1]

    found = []
    for folder, names, files in os.walk(CONTEXT):
        here = PurePosixPath(Path(folder).relative_to(CONTEXT))
        names[:] = [name for name in names if not left_out(here / name)]
        found += [here / name for name in files if not left_out(here / name)]
    return sorted(found)


def _pattern(rule: str) -> re.Pattern[str]:
    return re.compile(re.escape(rule).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*"))


class Build:
    """Builds one image."""

    def __init__(self, root: Path) -> None:
        self.root = root
        """The root of the stage that is being built, and in the end of the image."""
        self.variables: dict[str, str] = {}
        self.folder = root
        self._layers = root.with_name(f"{root.name}-layers")
        self._layers.mkdir(parents=True, exist_ok=True)
        self._used: set[Path] = set()
        self._digest = hashlib.sha256(sys.version.encode())
        self._stage = ""
        shutil.rmtree(root, ignore_errors=True)

    def carry_out(self) -> None:
        """Raises subprocess.CalledProcessError where a RUN fails, ValueError for what is not understood here."""
        for name, rest in steps():
            self._digest.update(f"{name} {rest}\n".encode())
            match name:
                case "FROM":
                    self._begin(rest)
                case "COPY" if rest.startswith("--from="):
                    stage, source, target = rest.removeprefix("--from=").split()
                    _link(self._of(stage) / source.lstrip("/"), Path(below(self.root, target)))
                case "COPY":
                    self._copy(*rest.split())
                case "RUN":
                    self._made("sh", "-ec", below(self.root, rest))
                case "WORKDIR":
                    self.folder = Path(below(self.root, rest))
                    self.folder.mkdir(parents=True, exist_ok=True)
                case "ARG" | "ENV":
                    self.variables |= variables(self.root, rest, self.variables)
                case "USER" | "ENTRYPOINT" | "CMD":
                    pass
                case _:
                    raise ValueError(f"{name}: not understood")
        for layer in set(self._layers.iterdir()) - self._used:
            shutil.rmtree(layer)

    def _of(self, stage: str) -> Path:
        return self.root.with_name(f"{self.root.name}-{stage}")

    def _begin(self, image: str) -> None:
        if self._stage:
            shutil.rmtree(self._of(self._stage), ignore_errors=True)
            self.root.rename(self._of(self._stage))
        self._stage = image.partition(" AS ")[2]
        self.root.mkdir()
        base = below(self.root, BASE)
        self.folder, self.variables = self.root, {"PATH": f"{base}/bin:{os.environ['PATH']}"}
        self._made(sys.executable, "-m", "venv", base)

    def _made(self, *command: str) -> None:
        """The root after the command."""
        layer = self._layers / self._digest.hexdigest()
        self._used.add(layer)
        if layer.exists():
            shutil.rmtree(self.root)
            _link(layer, self.root)
            return
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_"))}
        subprocess.run(command, cwd=self.folder, env={**inherited, **self.variables}, check=True)
        unfinished = self._layers / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        _link(self.root, unfinished)
        unfinished.rename(layer)

    def _copy(self, source: str, target: str) -> None:
        for path in context():
            if path.is_relative_to(source):
                place = self.folder / below(self.root, target) / path.relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CONTEXT / path, place)
                self._digest.update(f"{path}\n".encode() + place.read_bytes())


def variables(root: Path, text: str, before: dict[str, str]) -> dict[str, str]:
    """What an ENV or ARG sets: `NAME=VALUE ...`, with `$NAME` for what is set already."""
    given = (each.partition("=") for each in below(root, text).split())
    return {name: re.sub(r"\$(\w+)", lambda found: before.get(found[1], ""), value) for name, _, value in given}


def _link(source: Path, target: Path) -> None:
    """The same files: pip replaces files, and changes none in place."""
    target.mkdir(parents=True)
    subprocess.run(["cp", "--archive", "--link", f"{source}/.", target], check=True)


if __name__ == "__main__":
    Build(Path(sys.argv[1]).absolute()).carry_out()
