"""The cluster's settings as they follow from the ConfigMap and the legacy controller's Deployment."""

from collections.abc import Callable

from common.model.config import ClusterConfig
from common.rules.cluster_config import parse_cluster_config


class ClusterSettings:
    def __init__(self, *, prefix_feature: bool, on_problem: Callable[[str], None]) -> None:
        """`on_problem` is called with each value that cannot be used, once for each change of the ConfigMap."""
        self._prefix_feature, self._on_problem = prefix_feature, on_problem
        self._data: dict[str, str] | None = None
        self._legacy = False
        self.problems: tuple[str, ...] = ()
        """Problems of the settings as they stand."""
        self.config: ClusterConfig | None = None
        """None: not known yet."""

    def set_data(self, data: dict[str, str] | None) -> None:
        """None: there is no ConfigMap."""
        if data != self._data:
            self._data, self.problems = data, ()

    def set_legacy(self, present: bool) -> None:
        self._legacy = present

    def refresh(self) -> bool:
        """Read what was set. Whether the settings changed."""
        config, problems = parse_cluster_config(
            self._data, self.config, prefix_feature=self._prefix_feature, legacy=self._legacy
        )
        if problems != self.problems:
            for problem in problems:
                self._on_problem(problem)
            self.problems = problems
        changed = config != self.config
        self.config = config
        return changed
