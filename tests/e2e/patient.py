"""A small service to break: runs inside a container with the standard library only.

`python patient.py NAME PORT CURABLE`: serves /metrics (as cAdvisor and an HTTP server would), /healthz, and
POST /break, after which it leaks until nearly all its memory is taken and answers errors. A restart cures it,
unless CURABLE is "no": then it comes back just as ill. POST /fill takes nearly all its memory without an error,
POST /heal gives it back, POST /die ends it. Where there is a file /dies, it is removed and the start ends at once.
"""

import http.server
import os
import signal
import sys
import threading
import time

NAME, PORT, CURABLE = sys.argv[1], int(sys.argv[2]), sys.argv[3] != "no"
MARK = "/ill"
LIMIT, NEARLY_FULL, LITTLE = 512_000_000, 503_000_000, 120_000_000
state = {"ill": os.path.exists(MARK), "memory": LITTLE, "ok": 0, "failed": 0}


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def live():
    count = 0
    while True:
        count += 1
        if state["ill"]:
            state["memory"] = min(state["memory"] + 80_000_000, NEARLY_FULL)
            state["failed"] += 1
            if count % 20 == 1:
                say("java.lang.OutOfMemoryError: Java heap space")
                say("\tat shop.payments.Ledger.append(Ledger.java:118)")
            else:
                say(f"POST /pay/{count} 500 in {count % 70} ms")
        else:
            state["ok"] += 1
            say(f"POST /pay/{count} 200 in {count % 70} ms")
        time.sleep(0.05)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/healthz":
            self.answer(500 if state["ill"] else 200, "ill" if state["ill"] else "well")
            return
        self.answer(
            200,
            f'container_memory_working_set_bytes{{name="{NAME}"}} {state["memory"]}\n'
            f'container_spec_memory_limit_bytes{{name="{NAME}"}} {LIMIT}\n'
            f'http_requests_total{{service="{NAME}",status="200"}} {state["ok"]}\n'
            f'http_requests_total{{service="{NAME}",status="500"}} {state["failed"]}\n',
        )

    def do_POST(self):
        if self.path == "/die":
            os._exit(1)
        state["ill"] = self.path == "/break"
        if self.path != "/break":
            state["memory"] = NEARLY_FULL if self.path == "/fill" else LITTLE
        elif not CURABLE:
            open(MARK, "w").close()
        self.answer(200, "done")

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


if os.path.exists("/dies"):
    os.remove("/dies")
    sys.exit(1)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
threading.Thread(target=live, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
