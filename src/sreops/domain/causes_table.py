"""The taxonomy of causes: what each means in words, what helps, and which explains which."""

from dataclasses import dataclass

from sreops.domain.analysis import Category, RecommendedAction


@dataclass(frozen=True)
class Cause:
    """What a category means in words, what helps, and how deep it lies.

    ``depth`` 3: a cause by itself; 2: often the effect of something else; 1: a symptom. A deeper cause with
    signs explains a shallower one.
    """

    words: str
    action: RecommendedAction
    depth: int


_restart, _scale = RecommendedAction.restart, RecommendedAction.scale
_escalate, _investigate = RecommendedAction.escalate, RecommendedAction.investigate

CAUSES: dict[Category, Cause] = {
    Category.out_of_memory: Cause("the process ran out of memory", _restart, 3),
    Category.memory_leak: Cause("memory grows towards its limit: a leak", _restart, 3),
    Category.deadlock: Cause("threads wait for each other and nothing moves: a deadlock", _restart, 3),
    Category.connection_pool_exhausted: Cause("the connection pool is exhausted", _restart, 2),
    Category.disk_full: Cause("the disk is full", _escalate, 3),
    Category.certificate_expired: Cause("a certificate has expired", _escalate, 3),
    Category.bad_configuration: Cause("the configuration is wrong or incomplete", _escalate, 3),
    Category.permission_denied: Cause("a permission is missing", _escalate, 3),
    Category.dns_failure: Cause("a name can't be resolved", _escalate, 3),
    Category.dependency_down: Cause("a dependency does not answer", _escalate, 3),
    Category.bad_deploy: Cause("a new version can't be rolled out or started", _escalate, 3),
    Category.connection_refused: Cause("connections are refused", _investigate, 2),
    Category.cpu_saturation: Cause("the CPU is saturated", _scale, 2),
    Category.traffic_overload: Cause("there is more traffic than the service can take", _scale, 2),
    Category.process_exited: Cause("the process has exited", _restart, 2),
    Category.crash_loop: Cause("the process crashes again and again after it starts", _escalate, 1),
    Category.unhealthy: Cause("the process runs but is not healthy", _restart, 1),
    Category.latency: Cause("responses are slow", _investigate, 1),
    Category.error_rate: Cause("requests fail", _investigate, 1),
    Category.false_alarm: Cause("the signal is back to normal and nothing else is wrong", RecommendedAction.none, 1),
    Category.unknown: Cause("no cause that the rules know shows in the evidence", _investigate, 0),
}
