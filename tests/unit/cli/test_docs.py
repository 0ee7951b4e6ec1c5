"""The documentation names what the code has."""

import re
from pathlib import Path

from common import metrics

ROOT = Path(__file__).parents[3]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def test_every_metric_is_documented() -> None:
    ours = [one for one in metrics.REGISTRY.collect() if not one.name.startswith(("process_", "python_"))]
    names = {one.name + ("_total" if one.type == "counter" else "") for one in ours}
    assert names == set(re.findall(r"^\| `(\w+)` \| .*\.", OPERATIONS.partition("## Metrics")[2], flags=re.MULTILINE))


def test_every_reason_of_an_event_is_documented() -> None:
    told = re.compile(r'(?:tell\w*\((?:[^"()]|"[^A-Z"][^"]*")*|reason=|reason = )"([A-Z]\w+)"')
    sources = [*ROOT.glob("common/decide/*.py"), *ROOT.glob("watcher/*.py")]
    reasons = {reason for path in sources for reason in told.findall(path.read_text())}
    assert {"ResourceAllocated", "Unsupported", "CNINodeDeletionFailed"} <= reasons
    documented = set(re.findall(r"`([A-Z]\w+)`", OPERATIONS.partition("## EC2 errors")[0]))
    assert reasons <= documented


def test_links_of_the_documentation_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://)([^)#]*)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
