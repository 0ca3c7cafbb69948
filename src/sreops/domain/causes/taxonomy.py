"""The taxonomy of causes: what each means in words, what helps, and which explains which."""

from dataclasses import dataclass

from sreops.domain.causes.analysis import Category, RecommendedAction


@dataclass(frozen=True)
class Cause:
    """What a category means in words (of ``{service}``), what helps, and how deep it lies.

    ``depth`` 3: a cause by itself; 2: often the effect of something else; 1: a symptom. A deeper cause with
    signs explains a shallower one.
    """

    words: str
    action: RecommendedAction
    depth: int

    def of(self, service: str) -> str:
        """Return the words about a service, as the beginning of a sentence."""
        told = self.words.replace("{service}", service)
        return told if self.words.startswith("{service}") else told[0].upper() + told[1:]


_restart, _scale = RecommendedAction.restart, RecommendedAction.scale
_escalate, _investigate = RecommendedAction.escalate, RecommendedAction.investigate

CAUSES: dict[Category, Cause] = {
    Category.out_of_memory: Cause("the process of {service} ran out of memory", _restart, 3),
    Category.memory_leak: Cause("{service} leaks memory", _restart, 3),
    Category.deadlock: Cause("{service} is in a deadlock", _restart, 3),
    Category.connection_pool_exhausted: Cause("the connection pool of {service} is exhausted", _restart, 2),
    Category.resource_limit: Cause("{service} has reached a limit on files or threads", _investigate, 2),
    Category.quota_exceeded: Cause("a quota that {service} depends on is used up", _escalate, 3),
    Category.disk_full: Cause("the disk of {service} is full", _escalate, 3),
    Category.disk_failed: Cause("{service} can't write to its disk, which is read-only or failing", _escalate, 3),
    Category.certificate_expired: Cause("a certificate that {service} depends on has expired", _escalate, 3),
    Category.tls_failure: Cause("TLS between {service} and another side can't be agreed on", _escalate, 3),
    Category.clock_skew: Cause("the clock of {service} or of another side is wrong", _escalate, 3),
    Category.bad_configuration: Cause("the configuration of {service} is wrong or incomplete", _escalate, 3),
    Category.permission_denied: Cause("a permission that {service} needs is missing", _escalate, 3),
    Category.dns_failure: Cause("a name that {service} needs can't be resolved", _escalate, 3),
    Category.dependency_down: Cause("a dependency of {service} does not answer", _escalate, 3),
    Category.rate_limited: Cause("a service that {service} calls turns it away for asking too often", _escalate, 3),
    Category.replication_lag: Cause("a replica that {service} depends on is behind its primary", _escalate, 2),
    Category.bad_deploy: Cause("a new version of {service} does not start or does not work", _escalate, 3),
    Category.connection_refused: Cause("connections of {service} are refused", _investigate, 2),
    Category.queue_backlog: Cause("{service} does not keep up with its queue", _investigate, 2),
    Category.cpu_saturation: Cause("the CPU of {service} is saturated", _scale, 2),
    Category.traffic_overload: Cause("there is more traffic than {service} can take", _scale, 2),
    Category.process_exited: Cause("the process of {service} has exited", _restart, 2),
    Category.crash_loop: Cause("the process of {service} crashes again and again after it starts", _escalate, 1),
    Category.unhealthy: Cause("the process of {service} runs but is not healthy", _restart, 1),
    Category.latency: Cause("responses of {service} are slow", _investigate, 1),
    Category.error_rate: Cause("requests to {service} fail", _investigate, 1),
    Category.false_alarm: Cause(
        "the signal of {service} is back to normal and nothing else is wrong", RecommendedAction.none, 1
    ),
    Category.unknown: Cause("no cause that the rules know shows in the evidence of {service}", _investigate, 0),
}
