"""What the site is made of: the repository's own pages where they stand, so that their links hold in both places."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
BESIDE = ("*.svg", "*.png", "*.css")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """The theme's files, the pages, pictures and style, and each other file that a page links to."""
    root, docs = Path(config.config_file_path).parent, Path(config.docs_dir)
    pages = [*(root / name for name in TOP), *docs.rglob("*.md")]
    beside = [path for pattern in BESIDE for path in docs.rglob(pattern)]
    chosen = {*pages, *beside, *(path for page in pages for path in linked(page) if path.is_relative_to(root))}
    theme = [file for file in files if file.src_dir != config.docs_dir]
    ours = [File(path.relative_to(root).as_posix(), str(root), config.site_dir, False) for path in sorted(chosen)]
    return Files([*theme, *ours])


def linked(page: Path) -> list[Path]:
    """Files that the page names in links."""
    targets = re.findall(r"\]\((?!https?://)([^)#\s]+)", page.read_text())
    return [path for target in targets if (path := (page.parent / target).resolve()).is_file()]
