"""A small service to break, with the standard library only: `docker compose` starts it as container `payments`.

    GET  /metrics            http_requests_total as the runbooks read them
    GET  /healthz            200 while it is well, 500 while it is not
    POST /break?how=leak     leaks until its memory limit is nearly reached, and fails requests (the default)
    POST /break?how=exit     ends with status 1; it has no restart policy, so it stays down
    POST /break?how=errors   fails half of the requests, and nothing else

A restart cures all of them. It is its own customer: without traffic there would be no error ratio.
"""

# ruff: noqa: D102, S104, TID251  # a program of its own in its own container: sreops' settings are no business of it

import http.client
import http.server
import os
import signal
import sys
import threading
import time
import urllib.parse

PORT = int(os.environ.get("PORT", "8000"))
NAME = os.environ.get("SERVICE", "payments")
CGROUP = os.environ.get("CGROUP", "/sys/fs/cgroup")
UNLIMITED = 128 * 1024 * 1024  # leaked at most where no limit is known
NO_LIMIT = 1 << 60  # cgroups of version 1 write "none" as a very large number
FULL = 0.93  # of the limit: above the alert's threshold, below the OOM killer
STEP = 4 * 1024 * 1024
PAGE = 4096
WAYS = ("leak", "exit", "errors")


class Shop:
    """What the service knows and how it is doing."""

    def __init__(self):
        self.ill = ""
        self.leaked = []
        self.requests = {"200": 0, "500": 0}
        self.lock = threading.Lock()

    def pay(self, number):
        """Handle one payment; return its HTTP status."""
        failed = self.ill == "leak" or (self.ill == "errors" and number % 2)
        status = "500" if failed else "200"
        with self.lock:
            self.requests[status] += 1
        say(f"POST /pay/{number} {status} in {3 + number % 17} ms")
        if self.ill == "leak" and number % 10 == 0:
            say("MemoryError: ledger cache: cannot allocate memory for the next page", error=True)
        if self.ill == "errors" and number % 10 == 1:
            say("ERROR payment provider answered with an unknown currency code", error=True)
        return int(status)

    def leak(self):
        """Take memory, touching every page, until the limit is nearly reached."""
        most = int(FULL * (memory_limit() or UNLIMITED))
        while memory_used() + STEP < most:
            chunk = bytearray(STEP)
            for place in range(0, STEP, PAGE):
                chunk[place] = 1
            self.leaked.append(chunk)
            time.sleep(0.05)
        say(f"WARN ledger cache holds {len(self.leaked) * STEP >> 20} MiB; memory usage is high", error=True)


SHOP = Shop()


def say(line, *, error=False):
    """Log one line."""
    (sys.stderr if error else sys.stdout).write(line + "\n")


def read_number(*names):
    """Read a number from the container's own cgroup, under the first name that has one; None where none does."""
    for name in names:
        try:
            with open(f"{CGROUP}/{name}", encoding="ascii") as file:
                return int(file.read())
        except (OSError, ValueError):  # another version of cgroups, or "max"
            continue
    return None


def memory_limit():
    """Return the container's memory limit in bytes, or None."""
    limit = read_number("memory.max", "memory/memory.limit_in_bytes")
    return limit if limit and limit < NO_LIMIT else None


def memory_used():
    """Return what the container uses, page cache that can be dropped left out; its leak where that is unknown."""
    used = read_number("memory.current", "memory/memory.usage_in_bytes")
    if used is None:
        return len(SHOP.leaked) * STEP
    for name, key in (("memory.stat", "inactive_file"), ("memory/memory.stat", "total_inactive_file")):
        try:
            with open(f"{CGROUP}/{name}", encoding="ascii") as file:
                return used - next(int(line.split()[1]) for line in file if line.startswith(f"{key} "))
        except (OSError, StopIteration):
            continue
    return used


def metrics():
    """Return the metrics page."""
    lines = ["# TYPE http_requests_total counter"]
    with SHOP.lock:
        lines += [
            f'http_requests_total{{service="{NAME}",status="{status}"}} {count}'
            for status, count in SHOP.requests.items()
        ]
    return "\n".join([*lines, ""])


class Handler(http.server.BaseHTTPRequestHandler):
    """The HTTP side."""

    def do_GET(self):
        if self.path == "/metrics":
            self.answer(200, metrics(), "text/plain; version=0.0.4")
        elif self.path == "/healthz":
            self.answer(500 if SHOP.ill else 200, SHOP.ill or "well")
        else:
            self.answer(404, "there are /metrics, /healthz and POST /break")

    def do_POST(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path.startswith("/pay/") and url.path[5:].isdigit():
            self.answer(SHOP.pay(int(url.path[5:])), "")
            return
        how = urllib.parse.parse_qs(url.query).get("how", ["leak"])[0]
        if url.path != "/break" or how not in WAYS:
            self.answer(404, f"POST /break?how= one of {', '.join(WAYS)}")
            return
        first, SHOP.ill = not SHOP.ill, how
        self.answer(200, f"broken: {how}")
        if how == "exit":
            say("FATAL ledger is corrupt, giving up", error=True)
            os._exit(1)
        if how == "leak" and first:
            threading.Thread(target=SHOP.leak, daemon=True).start()

    def answer(self, status, text, kind="text/plain"):
        """Send one answer."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Health checks and scrapes are no news."""


def buy_for_ever():
    """Be the customer: five payments a second."""
    number = 0
    while True:
        number += 1
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=2)
        try:
            connection.request("POST", f"/pay/{number}")
            connection.getresponse().read()
        except OSError as exc:
            say(f"ERROR customer: {exc}", error=True)
        finally:
            connection.close()
        time.sleep(0.2)


def main():
    """Serve until SIGTERM."""
    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server = http.server.ThreadingHTTPServer((os.environ.get("HOST", "0.0.0.0"), PORT), Handler)
    threading.Thread(target=buy_for_ever, daemon=True).start()
    say(f"INFO {NAME} is open on port {PORT}")
    server.serve_forever()


if __name__ == "__main__":
    main()
