"""The documentation names what the code has."""

import re
from pathlib import Path

import pytest

from common import metrics
from common.model.actions import AwaitTrunk
from common.model.errors import Unsure
from common.model.ids import EniId, InstanceId
from common.model.notice import EventReason
from common.model.outcome import Done, Failed, Outcome, Waits
from common.rules import cluster_config
from workers.executor import performed

ROOT = Path(__file__).parents[3]
METRICS = (ROOT / "common" / "metrics.py").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def test_every_metric_is_documented() -> None:
    ours = [one for one in metrics.REGISTRY.collect() if not one.name.startswith(("process_", "python_"))]
    names = {one.name + ("_total" if one.type == "counter" else "") for one in ours}
    assert names == set(re.findall(r"^\| `(\w+)` \| .*\.", OPERATIONS.partition("## Metrics")[2], flags=re.MULTILINE))


def test_every_key_of_the_configmap_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text().partition("## The cluster's ConfigMap")[2]
    rows = re.findall(r"^\| (`[^|]+`) \|", text, flags=re.MULTILINE)
    documented = [key for row in rows for key in re.findall(r"`([\w-]+)`", row)]
    assert sorted(documented) == sorted(cluster_config.KEYS)


def test_every_metric_is_set_somewhere() -> None:
    declared = re.findall(r"^([A-Z]\w+) = (?:_counter|_gauge|_histogram|_inherited|Counter)\(", METRICS, re.MULTILINE)
    assert len(declared) > 25
    sources = [
        path for folder in ("common", "watcher", "workers", "webhook") for path in ROOT.glob(f"{folder}/**/*.py")
    ]
    text = "\n".join(path.read_text() for path in sources if path.name != "metrics.py")
    unset = [name for name in declared if not re.search(rf"\b{name}\b[\w.(\[\])\"=, ]*\.(inc|set|observe|track)", text)]
    assert unset == []


@pytest.mark.parametrize(
    ("outcome", "word"), [(Done(), "done"), (Failed(error=Unsure("x")), "failed"), (Waits(until=1), "waits")]
)
def test_outcomes_of_actions_are_counted_under_the_documented_names(outcome: Outcome, word: str) -> None:
    performed(AwaitTrunk(subject="trunk", eni_id=EniId("e"), instance_id=InstanceId("i")), lambda _: outcome)
    labels = {"action": "AwaitTrunk", "outcome": word}
    assert metrics.REGISTRY.get_sample_value("vpc_rc_actions_total", labels)
    (row,) = re.findall(r"^\| `vpc_rc_actions_total` \| (.*)$", OPERATIONS, re.MULTILINE)
    assert word in row


def test_every_reason_of_an_event_is_documented_and_none_that_is_not_there() -> None:
    rows = re.findall(r"^\| [\w, ]+ \| (`[^|]*`) \|", OPERATIONS.partition("## EC2 errors")[0], re.MULTILINE)
    documented = [name for cell in rows for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(documented) == sorted(EventReason)


@pytest.mark.parametrize("reason", EventReason)
def test_every_reason_of_an_event_is_used(reason: EventReason) -> None:
    sources = [path for folder in ("common", "watcher", "workers") for path in ROOT.glob(f"{folder}/**/*.py")]
    assert any(f"EventReason.{reason.name}" in path.read_text() for path in sources)


def test_links_of_the_documentation_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://)([^)#]*)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_walk_of_a_pod_names_functions_that_exist() -> None:
    walk = (ROOT / "docs/architecture.md").read_text().partition("## The walk of a pod")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/]+\.py):(\w+)`", walk)
    assert len(named) > 20
    missing = [
        f"{file}:{name}"
        for file, name in named
        if not (ROOT / file).exists() or not re.search(rf"^\s*def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    ]
    assert missing == []


def test_the_files_that_an_addition_takes_are_there() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## How to add")[2].partition("\n## ")[0]
    named = [name for name in re.findall(r"`([\w./]+/[\w./]+)`", table) if "<" not in name]
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []
