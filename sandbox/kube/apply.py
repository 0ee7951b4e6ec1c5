"""Server-side apply in a simple form: who applied what is remembered, fields that an applier drops are removed.

Different from a real API server: only appliers own fields (not plain updates), so only appliers conflict, and
`managedFields` is not shown.
"""

from __future__ import annotations

from typing import Any

from sandbox.kube.patches import MERGE_KEYS, MERGED_SETS
from sandbox.kube.resources import Object
from sandbox.kube.status import ApiError

Path = tuple[Any, ...]
_SERVER_OWNED = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"), ("metadata", "uid"),
                 ("metadata", "resourceVersion"), ("metadata", "managedFields")}  # fmt: skip


def leaves(value: Any, associative: bool, at: Path = ()) -> dict[Path, Any]:
    """Every leaf by its path; elements of associative lists are named by (key, value) pairs."""
    if isinstance(value, dict) and (value or not at):
        found: dict[Path, Any] = {}
        for name, inner in value.items():
            found |= leaves(inner, associative, (*at, name))
        return {path: leaf for path, leaf in found.items() if path not in _SERVER_OWNED}
    key = MERGE_KEYS.get(at[-1]) if associative and isinstance(value, list) and at and isinstance(at[-1], str) else None
    if key is not None and value and all(isinstance(e, dict) and key in e for e in value):
        found = {}
        for entry in value:
            found |= leaves(entry, associative, (*at, (key, entry[key])))
        return found
    if isinstance(value, list) and at and at[-1] in MERGED_SETS:
        return {(*at, ("", entry)): entry for entry in value}
    return {at: value}


class Appliers:
    """What each field manager last applied, by object uid."""

    def __init__(self) -> None:
        self._applied: dict[str, dict[str, Object]] = {}

    def merge(self, live: Object, config: Object, *, manager: str, force: bool, associative: bool) -> Object:
        """The live object with `config` applied. Raises 409 where another applier holds a field differently."""
        history = self._applied.get(live.get("metadata", {}).get("uid", ""), {})
        wanted = leaves(config, associative)
        causes = []
        for other, theirs in history.items():
            held = leaves(theirs, associative) if other != manager else {}
            for path in wanted.keys() & held.keys():
                if wanted[path] != held[path]:
                    field = "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in path)
                    causes.append({"reason": "FieldManagerConflict", "message": f'conflict with "{other}"',
                                   "field": field})  # fmt: skip
        if causes and not force:
            message = f"Apply failed with {len(causes)} conflict{'s' if len(causes) > 1 else ''}: " + ", ".join(
                f"{c['message']}: {c['field']}" for c in causes
            )
            raise ApiError(409, "Conflict", message, details={"causes": causes})
        merged: Object = _overlay(live, config, associative, None)
        kept = {path for other, theirs in history.items() if other != manager for path in leaves(theirs, associative)}
        for path in leaves(history.get(manager, {}), associative).keys() - wanted.keys() - kept:
            _drop(merged, path)
        return merged

    def remember(self, uid: str, manager: str, config: Object) -> None:
        self._applied.setdefault(uid, {})[manager] = config

    def forget(self, uid: str) -> None:
        self._applied.pop(uid, None)


def _overlay(live: Any, config: Any, associative: bool, name: str | None) -> Any:
    if isinstance(config, dict):
        base = dict(live) if isinstance(live, dict) else {}
        for inner_name, inner in config.items():
            base[inner_name] = _overlay(base.get(inner_name), inner, associative, inner_name)
        return base
    if isinstance(config, list) and isinstance(live, list) and name in MERGED_SETS:
        return [*live, *(e for e in config if e not in live)]
    key = MERGE_KEYS.get(name or "") if associative else None
    if isinstance(config, list) and isinstance(live, list) and key and all(isinstance(e, dict) for e in config):
        merged = list(live)
        for entry in config:
            at = next((i for i, e in enumerate(merged) if e.get(key) == entry.get(key)), None)
            if at is None:
                merged.append(entry)
            else:
                merged[at] = _overlay(merged[at], entry, associative, None)
        return merged
    return config


def _drop(document: Any, path: Path) -> None:
    *parents, last = path
    for step in parents:
        if isinstance(step, tuple):
            document = next((e for e in document if e.get(step[0]) == step[1]), None)
        else:
            document = document.get(step) if isinstance(document, dict) else None
        if document is None:
            return
    if isinstance(last, tuple) and isinstance(document, list) and last[1] in document:
        document.remove(last[1])
    elif isinstance(document, dict):
        document.pop(last, None)
