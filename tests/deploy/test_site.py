"""The docs as a site: every page is in it, every link leads somewhere, and a page is there what it is on GitHub."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).resolve().parents[2]
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGES = sorted([*TOP, *(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))])
COUNTED = ("h1", "h2", "h3", "h4", "li", "tr", "td", "pre", "code", "strong", "a", "img")


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@pytest.fixture(scope="module")
def warnings() -> Iterator[Kept]:
    """What mkdocs warns of: with --strict each would fail the build."""
    kept, log = Kept(), logging.getLogger("mkdocs")
    log.addHandler(kept)
    yield kept
    log.removeHandler(kept)


@pytest.fixture(scope="module")
def site(warnings: Kept, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it was built."""
    place = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(place))
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    config.plugins.on_shutdown()
    return place


def content(site: Path, page: str) -> str:
    """The page's own part of its HTML."""
    file = site / re.sub(r"README\.md$", "index.html", page).replace(".md", ".html")
    return file.read_text().partition('itemprop="articleBody">')[2].partition("<footer")[0]


def test_links_anchors_and_the_list_of_pages_hold(site: Path, warnings: Kept) -> None:
    assert warnings.said == []
    assert {page for page in PAGES if not content(site, page)} == set()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_the_same_lists_tables_and_examples_as_on_github(site: Path, page: str) -> None:
    """Where the two read Markdown differently (a list right below a sentence, an example within a list), it shows."""
    there = MarkdownIt("gfm-like", {"linkify": False}).render((ROOT / page).read_text())
    here = content(site, page)
    assert {tag: here.count(f"<{tag}>") + here.count(f"<{tag} ") for tag in COUNTED} == {
        tag: there.count(f"<{tag}>") + there.count(f"<{tag} ") for tag in COUNTED
    }


def test_the_search_knows_every_page_and_each_alert(site: Path) -> None:
    found = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    places = {one["location"] for one in found}
    assert {re.sub(r"README\.md$", "index.html", page).replace(".md", ".html") for page in PAGES} <= places
    assert "docs/operations.html#vpcrcnoleader" in places


def test_styles_scripts_and_pictures_are_there(site: Path) -> None:
    loaded = {
        (path.parent / found).resolve()
        for path in site.rglob("*.html")
        for found in re.findall(r"<(?:script|link|img)[^>]* (?:src|href)=\"([^\"#?:]+)\"", path.read_text())
        if path.name != "404.html"  # its paths begin at the server's root
    }
    assert {path.suffix for path in loaded} >= {".css", ".js", ".svg"}
    assert [path for path in loaded if not path.is_file()] == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = [path.read_text() for path in site.rglob("*.html")]
    assert [found for page in pages for found in re.findall(r"<(?:script|link|img)[^>]*https?:[^>]*>", page)] == []
    styles = [path.read_text() for path in site.rglob("*.css")]
    assert [found for style in styles for found in re.findall(r"(?:url\(|@import )[\"']?https?:[^)]*", style)] == []
