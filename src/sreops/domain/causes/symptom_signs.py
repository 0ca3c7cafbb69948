"""Signs in log text that are often the effect of something else: crashes, failed checks, overload, errors."""

from sreops.domain.causes.analysis import Category
from sreops.domain.causes.log_sign import LogSign

SYMPTOM_SIGNS: tuple[LogSign, ...] = (
    LogSign(
        Category.process_exited,
        "a crash stands in the log",
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
        "further restarts are held back because they come too often",
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
        "timeouts stand in the log",
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
        "server errors stand in the log",
        0.4,
        (
            r"\b(HTTP/\d\.\d\"?|status[ =:]+|responded) ?5\d\d\b",
            r"internal server error",
            r"unhandled exception",
        ),
    ),
)
