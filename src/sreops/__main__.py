"""The command line: ``python -m sreops [COMMAND]``; exit status 0 good, 1 found wrong, 2 used wrong."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sreops import __version__
from sreops.domain.records.api_token import DEFAULT_DAYS
from sreops.domain.records.person import Role
from sreops.domain.text.printable import printable
from sreops.errors import AlreadyRunning, RunbooksInvalid, SettingsInvalid, SreopsError, StoreUnavailable

_LINES = "\n\t"
GOOD, FOUND_WRONG, USED_WRONG = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    root = argparse.ArgumentParser(
        prog="sreops",
        description="Takes Grafana's alerts, finds out what is wrong, fixes it where it may, and proves it.",
        epilog="Settings come from the environment (SREOPS_…) and .env; docs/settings.md lists them.",
    )
    root.add_argument("--version", action="version", version=f"sreops {__version__}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="serve (the default)")
    show = commands.add_parser("demo", help="show the whole loop in a small world on this machine")
    show.add_argument("--stay", action="store_true", help="keep the page up until Ctrl-C")
    show.add_argument(
        "--approve-after", type=float, default=5.0, metavar="SECONDS", help="how long it leaves the decision to you (5)"
    )
    show.add_argument("--model", action="store_true", help="use Claude (needs ANTHROPIC_API_KEY)")
    show.add_argument("--docker", action="store_true", help="play the first incident in this machine's Docker Engine")
    show.add_argument("--port", type=int, default=0, help="port of the page (default: any free one)")
    start = commands.add_parser("init", help="write .env and Grafana's contact point, and send a test alert through")
    start.add_argument("--compose", default="", metavar="NETWORK", help="for deploy/compose.minimal.yaml")
    start.add_argument("--loki", default="", metavar="URL", help="as sreops reaches it; asked for at a terminal")
    start.add_argument("--prometheus", default="", metavar="URL")
    start.add_argument("--grafana", default="", metavar="URL", help="its token is asked for, or SREOPS_GRAFANA__TOKEN")
    start.add_argument("--docker", default="", metavar="ADDRESS", help="unix:///var/run/docker.sock, tcp://HOST:PORT")
    start.add_argument("--url", default="", help="where this machine reaches sreops (default http://127.0.0.1:PORT)")
    start.add_argument("--from-grafana", default="", metavar="URL", help="where Grafana reaches it (default: --url)")
    start.add_argument("--wait", type=float, default=120.0, help="seconds to wait for sreops to answer (default 120)")
    commands.add_parser("check", help="look at every dependency: reachable, credentials, what is missing")
    books = commands.add_parser("runbooks", help="work on runbooks").add_subparsers(
        dest="what", metavar="WHAT", required=True
    )
    lint = books.add_parser("lint", help="check a runbooks file")
    lint.add_argument("file", nargs="?", type=Path, help="default: SREOPS_RUNBOOKS")
    books.add_parser("schema", help="print the JSON Schema of the file, for editors")
    what_if = books.add_parser("simulate", help="show what the runbooks would do, and would do otherwise")
    what_if.add_argument(
        "what_of", type=Path, nargs="?", metavar="PAYLOAD.json|DIR", help="default: the store's incidents"
    )
    what_if.add_argument("--file", type=Path, help="runbooks; default: SREOPS_RUNBOOKS")
    what_if.add_argument("--against", type=Path, metavar="FILE", help="of incidents: runbooks to compare with")
    what_if.add_argument("--json", action="store_true", help="of incidents: JSON instead of a table")
    what_if.add_argument("--fail-on-change", action="store_true", help="exit status 1 where anything would change")
    what_if.add_argument("--limit", type=int, default=500, help="so many incidents at most, the newest (default 500)")
    what_if.add_argument("--cause", default="", help="what an analysis would name: a cause or a category")
    what_if.add_argument("--log", action="append", default=[], help="a log line that would be found; repeat for more")
    again = commands.add_parser("replay", help="take a webhook payload through the graph without side effects")
    again.add_argument("payload", type=Path, metavar="PAYLOAD.json")
    again.add_argument("--timeout", type=float, default=120.0, help="seconds to wait for the end (default 120)")
    look = commands.add_parser("probe", help="show which container, logs and metrics would be used, without acting")
    look.add_argument("service", nargs="?", metavar="SERVICE")
    look.add_argument("--alert", type=Path, metavar="FILE", help="a webhook payload, or one alert, as JSON")
    look.add_argument("--label", action="append", default=[], metavar="NAME=VALUE", help="one more label; repeat")
    books = commands.add_parser("audit", help="work on the audit").add_subparsers(
        dest="what", metavar="WHAT", required=True
    )
    verify = books.add_parser("verify", help="find an altered, missing or reordered action record")
    verify.add_argument("incident_id", nargs="?", help="default: every incident")
    verify.add_argument("--from-topic", action="store_true", help="also compare with the copies on agent-actions")
    judge = commands.add_parser("eval", help="judge an analyst on a folder of recorded incidents")
    judge.add_argument("directory", type=Path, metavar="DIR", help="its sub-folders are sets of cases")
    judge.add_argument("--out", type=Path, default=Path("answers.jsonl"), metavar="FILE.jsonl", help="one line a case")
    judge.add_argument("--analyst", choices=("rules", "claude"), default="rules")
    closed = commands.add_parser("incidents", help="work on recorded incidents").add_subparsers(
        dest="what", metavar="WHAT", required=True
    )
    export = closed.add_parser("export", help="write an ended incident as a case that eval reads")
    export.add_argument("incident_id", metavar="ID")
    export.add_argument("--out", type=Path, default=Path("cases"), metavar="DIR", help="default: cases")
    told = commands.add_parser("report", help="look back over what was decided").add_subparsers(
        dest="what", metavar="WHAT", required=True
    )
    only_told = told.add_parser("shadow", help="compare plans that were only told with what people then did")
    only_told.add_argument("--days", type=float, default=30.0, help="how far back (default 30)")
    only_told.add_argument("--runbook", default="", metavar="ID", help="of this runbook only")
    only_told.add_argument("--limit", type=int, default=500, help="so many plans at most, the newest (default 500)")
    only_told.add_argument("--json", action="store_true", help="JSON instead of a table")
    tell = commands.add_parser("notify", help="work on the channels where people are told").add_subparsers(
        dest="what", metavar="WHAT", required=True
    )
    tell.add_parser("test", help="send a test message to every channel of SREOPS_NOTIFY__URLS")
    letters = commands.add_parser("dead-letter", help="work on what could not be processed").add_subparsers(
        dest="what", metavar="WHAT", required=True
    )
    letters.add_parser("list", help="show what lies there, with the error")
    back = letters.add_parser("requeue", help="put letters back on their topics, to be handled again on purpose")
    back.add_argument("ids", nargs="*", metavar="ID")
    back.add_argument("--all", action="store_true", help="all that were not put back yet")
    hands = commands.add_parser("automation", help="the kill switch, for all replicas").add_subparsers(
        dest="what", metavar="WHAT", required=True
    )
    off = hands.add_parser("pause", help="nothing is done any more, from the next effect on")
    on = hands.add_parser("resume", help="let it act again; what failed before counts no more")
    for command in (off, on):
        command.add_argument("--reason", default="", help="why, for the page and the audit")
    hands.add_parser("status", help="whether it is paused, by whom and why")
    tokens = commands.add_parser("tokens", help="API tokens of people and services").add_subparsers(
        dest="what", metavar="WHAT", required=True
    )
    tokens.add_parser("list", help="show all, without what opens anything")
    create = tokens.add_parser("create", help="make one and print it, once")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--role", choices=[role.value for role in Role], default=Role.viewer.value)
    create.add_argument("--days", type=int, default=DEFAULT_DAYS, help=f"how long it is valid (default {DEFAULT_DAYS})")
    create.add_argument("--account", default="", help="the person whose it is; default: a service's own")
    take = tokens.add_parser("revoke", help="end one at once, on all replicas")
    take.add_argument("token_id", metavar="ID")
    sessions = commands.add_parser("sessions", help="browsers that have signed in").add_subparsers(
        dest="what", metavar="WHAT", required=True
    )
    end = sessions.add_parser("end", help="sign an account out everywhere, at once")
    end.add_argument("account", metavar="ACCOUNT")
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; every expected error is a sentence on stderr, never a traceback."""
    arguments = parser().parse_args(argv)
    try:
        return _run(arguments)
    except (SettingsInvalid, RunbooksInvalid) as exc:
        what = "settings" if isinstance(exc, SettingsInvalid) else "runbooks"
        problems = [f"  {printable(line)}" for line in exc.problems]
        print(f"sreops: the {what} are wrong:", *problems, sep="\n", file=sys.stderr)  # noqa: T201  # the command line's own voice
        return USED_WRONG
    except AlreadyRunning as exc:
        print(f"sreops: {printable(str(exc), kept=_LINES)}", file=sys.stderr)  # noqa: T201  # the command line's own voice
        return USED_WRONG
    except StoreUnavailable as exc:
        print(f"sreops: {printable(str(exc), kept=_LINES)}", file=sys.stderr)  # noqa: T201  # the command line's own voice
        return FOUND_WRONG if exc.retryable else USED_WRONG  # a damaged database is for a person to mend or move
    except SreopsError as exc:
        print(f"sreops: {printable(str(exc), kept=_LINES)}", file=sys.stderr)  # noqa: T201  # the command line's own voice
        return FOUND_WRONG
    except KeyboardInterrupt:
        return 130


def _run(arguments: argparse.Namespace) -> int:
    """Run the command; each imports its own, since the agent's libraries take seconds to load."""
    return _COMMANDS[arguments.command or "serve"](arguments)


def _serve(_: argparse.Namespace) -> int:
    from sreops.commands import serve

    return serve.run()


def _demo(arguments: argparse.Namespace) -> int:
    from sreops.commands import demo

    return demo.run(
        stay=arguments.stay,
        model=arguments.model,
        docker=arguments.docker,
        port=arguments.port,
        approve_after_s=arguments.approve_after,
    )


def _init(arguments: argparse.Namespace) -> int:
    from sreops.commands import init

    wishes = init.InitOptions(
        compose=arguments.compose,
        url=arguments.url,
        from_grafana=arguments.from_grafana,
        loki=arguments.loki,
        prometheus=arguments.prometheus,
        grafana=arguments.grafana,
        docker=arguments.docker,
        wait_s=arguments.wait,
    )
    return init.run(wishes)


def _check(_: argparse.Namespace) -> int:
    from sreops.commands import check

    return check.run()


def _probe(arguments: argparse.Namespace) -> int:
    from sreops.commands import probe

    return probe.run(arguments.service, alert=arguments.alert, labels=arguments.label)


def _runbooks(arguments: argparse.Namespace) -> int:
    if arguments.what == "simulate":
        return _simulate(arguments)
    from sreops.commands import runbooks

    return runbooks.schema() if arguments.what == "schema" else runbooks.lint(arguments.file)


def _simulate(arguments: argparse.Namespace) -> int:
    of_payload = arguments.what_of is not None and not arguments.what_of.is_dir()
    if wrong := _out_of_place(arguments, of_payload=of_payload):
        print(f"sreops runbooks simulate: {wrong}", file=sys.stderr)  # noqa: T201  # the command line's own voice
        return USED_WRONG
    if of_payload:
        from sreops.commands.simulate import simulate

        return simulate(arguments.what_of, file=arguments.file, cause=arguments.cause, logs=arguments.log)
    from sreops.commands.simulate_recorded import simulate_recorded

    return simulate_recorded(
        arguments.what_of,
        file=arguments.file,
        against=arguments.against,
        as_json=arguments.json,
        fail_on_change=arguments.fail_on_change,
        limit=arguments.limit,
    )


def _out_of_place(arguments: argparse.Namespace, *, of_payload: bool) -> str:
    """Say which option has no meaning for what is simulated: passed over, it would look as if it had been heeded."""
    of_incidents = {
        "--against": arguments.against is not None,
        "--json": arguments.json,
        "--fail-on-change": arguments.fail_on_change,
    }
    of_alerts = {"--cause": bool(arguments.cause), "--log": bool(arguments.log)}
    given = [option for option, is_given in (of_incidents if of_payload else of_alerts).items() if is_given]
    if given and of_payload:
        return f"{', '.join(given)}: of recorded incidents only; leave PAYLOAD.json out, or name a folder of cases"
    if given:
        return f"{', '.join(given)}: of a payload's alerts only; name a PAYLOAD.json"
    return f"--limit {arguments.limit}: give at least 1" if arguments.limit < 1 else ""


def _replay(arguments: argparse.Namespace) -> int:
    from sreops.commands import replay

    return replay.run(arguments.payload, timeout_s=arguments.timeout)


def _eval(arguments: argparse.Namespace) -> int:
    from sreops.commands import eval as evaluation

    return evaluation.run(arguments.directory, out=arguments.out, analyst=arguments.analyst)


def _incidents(arguments: argparse.Namespace) -> int:
    from sreops.commands import incidents

    return incidents.export(arguments.incident_id, out=arguments.out)


def _report(arguments: argparse.Namespace) -> int:
    from sreops.commands import report

    return report.shadow(days=arguments.days, runbook=arguments.runbook, limit=arguments.limit, as_json=arguments.json)


def _audit(arguments: argparse.Namespace) -> int:
    from sreops.commands import audit

    return audit.verify(arguments.incident_id, from_topic=arguments.from_topic)


def _notify(_: argparse.Namespace) -> int:
    from sreops.commands import notify

    return notify.test()


def _dead_letter(arguments: argparse.Namespace) -> int:
    from sreops.commands import dead_letter

    if arguments.what == "list":
        return dead_letter.show()
    return dead_letter.requeue(arguments.ids, everything=arguments.all)


def _automation(arguments: argparse.Namespace) -> int:
    from sreops.commands import automation

    if arguments.what == "status":
        return automation.status()
    return automation.switch(paused=arguments.what == "pause", reason=arguments.reason)


def _tokens(arguments: argparse.Namespace) -> int:
    from sreops.commands import tokens

    return tokens.run(arguments)


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "serve": _serve,
    "demo": _demo,
    "init": _init,
    "check": _check,
    "probe": _probe,
    "runbooks": _runbooks,
    "replay": _replay,
    "eval": _eval,
    "incidents": _incidents,
    "report": _report,
    "audit": _audit,
    "notify": _notify,
    "dead-letter": _dead_letter,
    "automation": _automation,
    "tokens": _tokens,
    "sessions": _tokens,
}


if __name__ == "__main__":
    sys.exit(main())
