"""Signs in log text of what a service depends on: names, connections, limits of others, replicas, queues."""

from sreops.domain.causes.analysis import Category
from sreops.domain.causes.log_sign import LogSign

NETWORK_SIGNS: tuple[LogSign, ...] = (
    LogSign(
        Category.dns_failure,
        "the lookup of a name failed",
        0.78,
        (
            r"getaddrinfo (ENOTFOUND|EAI_AGAIN|failed)",
            r"\bENOTFOUND\b",
            r"could not resolve host",
            r"no such host",
            r"NXDOMAIN",
            r"(temporary failure in )?name resolution",
            r"name or service not known",
            r"UnknownHostException",
            r"dns lookup failed",
        ),
    ),
    LogSign(
        Category.dependency_down,
        "a named dependency can't be reached",
        0.72,
        (
            r"(can(no|')t|could not|unable to|failed to) (connect|reach)( to)? (\w+ ){0,3}[\w.-]{1,120}:\d{2,5}\b",
            r"dial tcp .{0,120}(connection refused|i/o timeout|no route to host)",
            r"ECONNREFUSED .{0,60}:\d{2,5}",
            r"connection to (server at )?.{1,120}(refused|failed|timed out)",
            r"all host\(s\) tried .{0,80}failed",
            r"(upstream|dependency|database|redis|broker|postgres\w*|mysql|mongo\w*|kafka) .{0,60}"
            r"(down|unavailable|unreachable|refused|not responding)\b",
            r"failed to connect to (server|host) \[?[A-Za-z0-9_.-]{1,120}",
        ),
    ),
    LogSign(
        Category.dependency_down,
        "a dependency answers with errors",
        0.55,
        (r"\bupstream .{1,80} (answered|returned|responded( with)?) 5\d\d\b",),
    ),
    LogSign(
        Category.connection_refused,
        "a connection attempt was refused",
        0.55,
        (
            r"connection refused",
            r"\bECONNREFUSED\b",
        ),
    ),
    LogSign(
        Category.dns_failure,
        "the name server does not answer as it should",
        0.72,
        (
            r"lookup .{1,200}: (i/o timeout|server misbehaving)",
            r"\bSERVFAIL\b",
            r"temporary failure resolving",
            r"\bEAI_AGAIN\b",
            r"(dns|name server|resolver) .{0,40}(timed out|no answer|unreachable|refused)",
        ),
    ),
    LogSign(
        Category.rate_limited,
        "a service that it calls answers that it asks too often (429)",
        0.7,
        (
            r"\b(upstream|provider|downstream|api|client|remote|calling|request to|call to|POST https?://|GET https?://)"
            r".{0,120}(\b429\b|too many requests|rate[ -]?limit)",
            r"(\b429\b|too many requests|rate[ -]?limit(ed)?).{0,80}\b(by|from) (the )?"
            r"(upstream|provider|remote|api|[\w-]+\.[\w.-]+)",
            r"\bThrottlingException\b",
            r"ProvisionedThroughputExceeded",
            r"\bSlowDown\b.{0,60}reduce your request rate",
            r"RateLimitError|rate_limit_exceeded",
        ),
        # our own limiter, which turns others away
        against=(r"\b(client|remote_addr|peer)[ =:\"']+\d+\.\d+\.\d+\.\d+", r"\blimiting (requests|connections)\b"),
    ),
    LogSign(
        Category.replication_lag,
        "replication is said to lag or to have stopped",
        0.72,
        (
            r"replication (lag|delay)\D{0,40}[1-9]\d*",
            r"(replica|standby|secondary|follower|slave) .{0,60}(is )?(lagging|behind|too stale|out of sync)",
            r"Seconds_Behind_(Master|Source)\D{1,4}[1-9]\d*",
            r"requested WAL segment .{1,80} has already been removed",
            r"canceling statement due to conflict with recovery",
            r"replication slot .{1,80}(invalidated|is inactive|lost)",
            r"(replica|slave) (SQL|IO)( thread)? .{0,40}(stopped|not running)",
            r"replication (has )?(stopped|broken|failed)",
        ),
        against=(
            r"caught up|in sync\b|within (the )?(limit|threshold)|lag\D{0,12}\b0(\.0+)? ?(s|ms|bytes?|seconds?)?\b",
        ),
    ),
    LogSign(
        Category.queue_backlog,
        "messages come faster than they are taken",
        0.66,
        (
            r"consumer (group )?.{0,60}lag\D{0,30}[1-9]\d{2,}",
            r"\blag\D{0,12}[1-9]\d{2,}\D{0,12}(messages|records|offsets)",
            r"(queue|topic|backlog|mailbox) .{0,60}(depth|length|size|backlog).{0,30}(exceed|above|over|growing|high)",
            r"backlog (of|is|has|grew to) [1-9]\d{2,}",
            r"(messages|jobs|tasks) (are )?(piling up|accumulating|queued up)",
            r"queue is (backed up|backing up|growing)",
        ),
        against=(r"caught up|draining|drained|lag\D{0,12}\b0\b",),
    ),
    LogSign(
        Category.queue_backlog,
        "the consumer is thrown out of its group again and again",
        0.62,
        (
            r"max\.poll\.interval(\.ms)?",
            r"CommitFailedException",
            r"member .{1,80} (has been removed|failed to heartbeat)",
            r"(attempt to heartbeat|heartbeat) failed (since|because) (the )?(group|member)",
        ),
    ),
)
