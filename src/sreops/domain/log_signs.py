"""The signs in log text by which the rules know a cause.

A sign's ``strength`` is the most confidence that it gives by itself: 0.7 and more only for one that is decisive,
such as the process' own words about what killed it. Patterns are RE2, read line by line, case ignored.
"""

from dataclasses import dataclass

from sreops.domain.analysis import Category


@dataclass(frozen=True)
class LogSign:
    """Words in a log line that speak for a category; any of ``alternatives`` (RE2)."""

    category: Category
    name: str
    strength: float
    alternatives: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """The alternatives as one pattern."""
        return "|".join(self.alternatives)


LOG_SIGNS: tuple[LogSign, ...] = (
    # memory
    LogSign(
        Category.out_of_memory,
        "the process says that it is out of memory",
        0.78,
        (
            r"java\.lang\.OutOfMemoryError",
            r"\bOutOfMemoryException\b",
            r"JavaScript heap out of memory",
            r"fatal error: runtime: out of memory",
            r"\bMemoryError\b",
            r"std::bad_alloc",
            r"cannot allocate memory",
            r"\bENOMEM\b",
        ),
    ),
    LogSign(
        Category.out_of_memory,
        "the kernel killed it for want of memory",
        0.8,
        (
            r"\bOOM[- ]?killed\b",
            r"\boom-kill(er)?\b",
            r"Memory cgroup out of memory",
            r"Out of memory: Killed process",
            r"killed due to (it being )?out of memory",
        ),
    ),
    LogSign(
        Category.out_of_memory,
        "it was killed with status 137",
        0.55,
        (r"\bexit(ed)?( with)?( code| status)?[ :=]+137\b",),
    ),
    LogSign(
        Category.memory_leak,
        "the log speaks of memory pressure",
        0.5,
        (
            r"GC overhead limit exceeded",
            r"\bPause Full\b",
            r"\bFull GC\b",
            r"memory (leak|pressure)",
            r"heap (usage|used)\D{0,20}(9\d|100) ?%",
            r"(low on|high) memory",
            r"memory usage (is )?(high|above|critical|at (9\d|100) ?%)",
        ),
    ),
    # work that no longer moves
    LogSign(
        Category.deadlock,
        "the process reports a deadlock",
        0.75,
        (
            r"all goroutines are asleep - deadlock",
            r"Found (one|\d+) Java-level deadlock",
            r"deadlock detected in thread",
            r"thread pool (is )?(deadlocked|stuck)",
            r"watchdog: .{0,80}(stuck|hung|no progress)",
            r"event loop (is )?blocked for",
        ),
    ),
    LogSign(
        Category.deadlock,
        "work waits for a lock and does not go on",
        0.5,
        (
            r"\bdeadlock\b",
            r"lock wait timeout",
            r"waited .{0,40} for (the )?lock",
            r"could not acquire lock",
        ),
    ),
    LogSign(
        Category.connection_pool_exhausted,
        "the connection pool is exhausted",
        0.75,
        (
            r"pool (is )?exhausted",
            r"PoolExhausted",
            r"QueuePool limit",
            r"no available connection",
            r"connection pool (is )?full",
            r"connection pool timeout",
            r"(timeout|timed out)\b.{0,60}(from|for) (the )?(connection )?pool",
            r"Connection is not available, request timed out",
            r"pool .{0,40}maximum (size|connections) reached",
        ),
    ),
    LogSign(
        Category.connection_pool_exhausted,
        "the server has no connection left",
        0.62,
        (
            r"too many (connections|clients already)",
            r"remaining connection slots are reserved",
            r"max_connections (reached|exceeded)",
        ),
    ),
    # what a restart does not cure
    LogSign(
        Category.disk_full,
        "a write failed for want of space",
        0.85,
        (
            r"no space left on device",
            r"\bENOSPC\b",
            r"disk quota exceeded",
        ),
    ),
    LogSign(
        Category.disk_full,
        "storage is full or nearly",
        0.75,
        (
            r"(disk|filesystem|volume|storage) (is )?(full|almost full|critically low)",
            r"ran out of (disk|storage) space",
            r"storage space is critically low",
            r"insufficient (disk|storage) space",
            r"evicted.{0,60}ephemeral-storage",
        ),
    ),
    LogSign(
        Category.certificate_expired,
        "a certificate has expired",
        0.85,
        (
            r"certificate (has|is) expired",
            r"certificate has expired or is not yet valid",
            r"CERT_HAS_EXPIRED",
            r"certificate_expired",
            r"SSL certificate .{0,40}expired",
            r"CertificateExpiredException",
            r"x509: .{0,60}expired",
        ),
    ),
    LogSign(
        Category.bad_configuration,
        "the configuration is refused at start",
        0.75,
        (
            r"invalid[ _]directive",
            r"unknown directive",
            r"(invalid|bad|malformed|missing) config(uration)?\b",
            r"config(uration)?( file)? (is )?(invalid|malformed|missing|not found)",
            r"(failed|unable|cannot|could not|error) (to )?(load|loading|parse|parsing|read|reading) .{0,40}config",
            r"(yaml|toml): (line \d+|unmarshal)",
            r"unknown (flag|option|argument):",
            r"unrecognized (option|argument)",
        ),
    ),
    LogSign(
        Category.bad_configuration,
        "an environment variable is missing",
        0.78,
        (
            r"environment variable .{0,80}(is )?(undefined|not set|missing|required|unset)",
            r"(missing|required|undefined|unset) environment variable",
            r"KeyError: '[A-Z][A-Z0-9_]{2,}'",
            r"(missing|required) (setting|config(uration)? (key|value|parameter))",
        ),
    ),
    LogSign(
        Category.bad_configuration,
        "the program can't be executed",
        0.72,
        (
            r"exec format error",
            r"executable file not found",
            r"exec .{0,80}no such file or directory",
            r"syntax error near unexpected token",
            r"unexpected end of file",
        ),
    ),
    LogSign(
        Category.permission_denied,
        "access was denied",
        0.72,
        (
            r"permission denied",
            r"\bEACCES\b",
            r"\bEPERM\b",
            r"operation not permitted",
            r"access denied for user",
            r"AccessDenied(Exception)?\b",
            r"password authentication failed",
            r"is forbidden: User .{0,120}cannot",
            r"not authorized to perform",
        ),
    ),
    LogSign(
        Category.dns_failure,
        "a name was not resolved",
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
        Category.bad_deploy,
        "the image can't be pulled",
        0.8,
        (
            r"ImagePullBackOff",
            r"ErrImagePull",
            r"failed to pull image",
            r"manifest (for .{1,200} )?(unknown|not found)",
            r"back-off pulling image",
        ),
    ),
    LogSign(
        Category.bad_deploy,
        "the rollout does not finish",
        0.62,
        (
            r"ProgressDeadlineExceeded",
            r"exceeded its progress deadline",
        ),
    ),
    # what is often an effect
    LogSign(
        Category.connection_refused,
        "connections are refused",
        0.55,
        (
            r"connection refused",
            r"\bECONNREFUSED\b",
        ),
    ),
    LogSign(
        Category.process_exited,
        "the process crashed",
        0.7,
        (
            r"segmentation fault",
            r"\bSIGSEGV\b",
            r"\bSIGABRT\b",
            r"^panic: ",
            r"fatal error: ",
            r"core dumped",
            r"\bexit(ed)?( with)?( code| status)?[ :=]+139\b",
        ),
    ),
    LogSign(
        Category.crash_loop,
        "it is restarted again and again",
        0.65,
        (
            r"CrashLoopBackOff",
            r"back-off restarting failed container",
            r"restarting too (often|quickly)",
            r"start request repeated too quickly",
        ),
    ),
    LogSign(
        Category.unhealthy,
        "its health check fails",
        0.6,
        (
            r"(liveness|readiness|startup) probe failed",
            r"health ?check (has )?failed",
            r"container is unhealthy",
        ),
    ),
    LogSign(
        Category.traffic_overload,
        "it sheds load",
        0.5,
        (
            r"too many requests",
            r"rate limit exceeded",
            r"load shedding",
            r"request queue (is )?full",
            r"server (is )?overloaded",
            r"backlog (is )?full",
        ),
    ),
    LogSign(
        Category.latency,
        "requests time out or are slow",
        0.35,
        (
            r"(context )?deadline exceeded",
            r"request timed out",
            r"slow (query|request)",
            r"upstream timed out",
            r"read timed? ?out",
        ),
    ),
    LogSign(
        Category.error_rate,
        "requests fail",
        0.4,
        (
            r"\b(HTTP/\d\.\d\"?|status[ =:]+|responded) ?5\d\d\b",
            r"internal server error",
            r"unhandled exception",
        ),
    ),
)

NEGATED = (
    r"\b(no|not|never|without|0|zero) (an? )?(oom|deadlocks?|out of memory|leaks?|crash(es)?|expired)\b|"
    r"\b(is|are|was) not (full|expired|unhealthy|down)|"
    r"(full|expired|down|unhealthy|oom(_?killed)?)[\"']?[=:] ?(false|no|0)\b"
)
"""A line that says the opposite of what it names; it is no sign."""

RECOVERED = (
    r"\brecovered\b|\bre-?connected\b|connection (re-?established|restored)|back to normal|rollback successful|"
    r"rolled back|now healthy|auto-rolled back|is healthy again"
)
"""A line that says it is over: counts against what other lines complain of."""
