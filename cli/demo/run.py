"""A demo from its first node to its verdict."""

from collections.abc import Callable
from dataclasses import dataclass

from cli.demo.ideal import POD_OPERATIONS, ideal_seconds, level, percentile, scaled
from cli.demo.plan import DemoFailed, Plan
from cli.demo.screen import Screen
from cli.demo.stage import Stage
from common.clock import Clock
from common.model.config import MINIMUM_COOLDOWN_SECONDS
from common.model.errors import ControllerError
from sandbox.calls import Refused
from sandbox.judge.present import Ec2State, Given, leftovers, problems
from sandbox.nodes import POD_GROUPS
from sandbox.processes import Usage, usage

LOOK_SECONDS = 0.5
SLACK_SECONDS = 120.0
"""Beyond twice what EC2's limits ask for: slow machines."""
BLAME_SECONDS = 30.0
"""The sandbox notices within a second that a part of it ended, and ends itself when the other parts have ended, each of
which it gives five seconds."""
PROBLEMS_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures. Seconds throughout."""

    nodes_ready: float
    pods: int
    served: float
    """From scaling up to the last annotation."""
    ideal: float
    """What EC2's limits alone would have allowed, as the buckets stood when scaling up began."""
    p50: float
    p99: float
    released: float
    """From scaling down until EC2 held only what is left to live pods; the cool-down is part of it."""
    calls: int
    throttled: int
    usage: dict[str, Usage | None]


class Demo:
    """Raises DemoFailed from every method where something is not as it should be."""

    def __init__(self, plan: Plan, stage: Stage, screen: Screen, clock: Clock) -> None:
        self._plan, self._stage, self._screen, self._clock = plan, stage, screen, clock

    def run(self) -> Summary:
        """All of it."""
        try:
            return self._run()
        except (OSError, Refused, ControllerError) as error:
            # A process that does not answer has usually ended: report that, with its last log lines.
            deadline = self._clock.monotonic() + BLAME_SECONDS
            while self._clock.monotonic() < deadline:
                self._stage.look()
                self._clock.sleep(LOOK_SECONDS)
            raise DemoFailed(str(error), self._stage.tails()) from error

    def _run(self) -> Summary:
        plan, cluster, began = self._plan, self._stage.cluster, self._clock.monotonic()
        self._screen.begin(f"Sandbox runs with {plan.nodes} nodes of {plan.instance_type}; the product starts")
        cluster.prepare(plan.cooldown, POD_GROUPS)
        cluster.follow()
        self._stage.start_product()
        self._until(
            lambda: cluster.ready_nodes() == plan.nodes,
            SLACK_SECONDS + plan.nodes,
            lambda: f"{cluster.ready_nodes()} of {plan.nodes} nodes advertise branch interfaces",
        )
        nodes_ready = self._clock.monotonic() - began
        ideal, served = self._scale_up()
        before = self._check_served()
        released = self._scale_down(before)
        actions = self._stage.ec2("summary")
        return Summary(
            nodes_ready=nodes_ready,
            pods=plan.pods,
            served=served,
            ideal=ideal,
            p50=percentile(cluster.waits(), 0.5),
            p99=percentile(cluster.waits(), 0.99),
            released=released,
            calls=sum(counts["calls"] for counts in actions["actions"].values()),
            throttled=actions["throttled"],
            usage={name: usage(pid) for name, pid in self._stage.pids().items()},
        )

    def hold(self) -> None:
        """Show the state until somebody ends us."""
        self._screen.begin("Held: everything keeps running until Ctrl-C")
        while True:
            self._stage.look()
            self._screen.show(self._stage.picture())
            self._clock.sleep(1.0)

    def _scale_up(self) -> tuple[float, float]:
        """Seconds that EC2's limits ask for, and seconds that it took."""
        plan, cluster = self._plan, self._stage.cluster
        rates = scaled(plan.ec2_factor)
        now, calls = self._clock.now(), self._stage.ec2("journal")
        levels = {
            action: level(rates[action], [one["time"] for one in calls if one["action"] == action], now)
            for action in POD_OPERATIONS
        }
        ideal = max(0.0, ideal_seconds(plan.pods, levels, rates))
        self._screen.begin(f"All nodes have their trunks; Deployments scale up to {plan.pods} pods")
        began = self._clock.now()
        cluster.scale(plan.pods)
        self._until(
            lambda: len(cluster.given()) >= plan.pods,
            2 * ideal + SLACK_SECONDS,
            lambda: f"{len(cluster.given())} of {plan.pods} pods have been given an interface",
        )
        return ideal, max(pod.annotated_at or 0.0 for pod in cluster.live()) - began

    def _check_served(self) -> list[Given]:
        given = self._stage.cluster.given()
        ec2 = Ec2State(self._stage.ec2("state"))
        found = problems(given, ec2, POD_GROUPS) + leftovers(given, ec2, self._plan.nodes)
        _none_of(found, "with all pods served")
        self._screen.begin(f"All {len(given)} annotations are valid and agree with EC2")
        return given

    def _scale_down(self, before: list[Given]) -> float:
        plan, cluster = self._plan, self._stage.cluster
        cooldown = max(float(plan.cooldown), MINIMUM_COOLDOWN_SECONDS)
        self._screen.begin(f"Deployments scale down to {plan.rest} pods; interfaces rest for {cooldown:.0f} s")
        began = self._clock.monotonic()
        cluster.scale(plan.rest)
        releases = ideal_seconds(plan.pods, dict.fromkeys(POD_OPERATIONS, 0.0), scaled(plan.ec2_factor))
        self._until(
            lambda: len(cluster.live()) == plan.rest and len(self._ec2().branches()) <= plan.rest,
            cooldown + 2 * releases + SLACK_SECONDS,
            lambda: f"{len(cluster.live())} pods are left and EC2 holds {len(self._ec2().branches())} branches",
        )
        released = self._clock.monotonic() - began
        given = cluster.given()
        known = {one.uid: one for one in before}
        found = [f"{one.pod} has another annotation than before" for one in given if known.get(one.uid) != one]
        found += problems(given, self._ec2(), POD_GROUPS) + leftovers(given, self._ec2(), plan.nodes)
        _none_of(found, "after scaling down")
        self._screen.begin(f"EC2 holds exactly {plan.nodes} trunks and the {len(given)} branches of live pods")
        return released

    def _ec2(self) -> Ec2State:
        return Ec2State(self._stage.ec2("state"))

    def _until(self, condition: Callable[[], bool], seconds: float, state: Callable[[], str]) -> None:
        deadline = self._clock.monotonic() + seconds
        while not condition():
            self._stage.look()
            if self._clock.monotonic() > deadline:
                raise DemoFailed(f"after {seconds:.0f} s {state()}", self._stage.tails())
            self._screen.show(self._stage.picture())
            self._clock.sleep(LOOK_SECONDS)


def _none_of(found: list[str], when: str) -> None:
    if found:
        more = f" and {len(found) - PROBLEMS_SHOWN} more" if len(found) > PROBLEMS_SHOWN else ""
        raise DemoFailed(f"{when}: " + "; ".join(found[:PROBLEMS_SHOWN]) + more)
