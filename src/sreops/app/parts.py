"""Where everything that an incident needs is built, and put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sreops.adapters.database.pause_file import DataDirPauseFile
from sreops.adapters.docker import DockerContainers, DockerHosts, OwnPlace
from sreops.adapters.gitlab import GitLabIssues
from sreops.adapters.gitlab.pipelines import GitLabPipelines
from sreops.adapters.oidc import OidcProvider
from sreops.adapters.prober import HttpProber
from sreops.adapters.sql.postgres import is_postgres
from sreops.adapters.steady_clock import SteadyClock
from sreops.adapters.store import SqlIncidentStore
from sreops.adapters.trust import client_trust, write_bundle
from sreops.adapters.webhooks import HttpWebhooks
from sreops.agent.context import Tools
from sreops.agent.tickets import TicketDesk
from sreops.app.analysts import build_analysts, build_extra_tools
from sreops.app.assembly import Assembly, Check, Closer
from sreops.app.observability import build_observability
from sreops.app.own_addresses import own_addresses
from sreops.app.runbooks import runbooks_in_force
from sreops.ports import Containers, EventLog, Health, Issues, Notifier
from sreops.ports.identity import IdentityProvider
from sreops.settings import Settings
from sreops.telemetry import log
from sreops.worker.notice_sending import delivery_health
from sreops.worker.runbooks_file import runbooks_health

RUNBOOKS_LOADED: Final = "runbooks.loaded"


@dataclass
class Parts:
    """The adapters that the settings ask for; ``missing`` names what is not configured, with its cure."""

    event_log: EventLog
    store: SqlIncidentStore
    tools: Tools
    checks: Mapping[str, Check]
    missing: Mapping[str, Health]
    closers: Sequence[Closer] = ()
    notifier: Notifier | None = None
    issues: Issues | None = None
    identity: IdentityProvider | None = None


def build_parts(
    settings: Settings, store: SqlIncidentStore, event_log: EventLog, clock: SteadyClock | None = None
) -> Parts:
    """Build every adapter that the settings ask for."""
    clock = clock or SteadyClock()
    runbooks = runbooks_in_force(settings)
    log.info(RUNBOOKS_LOADED, path=runbooks.shown, count=len(runbooks))
    assembly = Assembly(client_trust(settings.ca_file))
    assembly.built("event_log", event_log.health)
    assembly.built("store", store.health)
    assembly.built("clock", clock.health)
    assembly.built("runbooks", partial(runbooks_health, runbooks))
    observability = build_observability(settings, assembly)
    issues = _issues(settings, assembly)
    containers = _containers(settings, assembly)
    analysts = build_analysts(settings, store, clock, assembly)
    extra = build_extra_tools(settings, assembly)
    notifier = build_notifier(settings)
    if notifier is None:
        assembly.absent("notify", "SREOPS_NOTIFY__URLS", "nobody is told; the page has to be looked at")
    else:
        assembly.built("notify", partial(delivery_health, store, notifier, clock))
    prober = HttpProber(trust=assembly.trust)
    assembly.closers.append(prober.aclose)
    webhooks = HttpWebhooks(settings.actions.webhooks, trust=assembly.trust)
    assembly.closers.append(webhooks.aclose)
    gitlab = _pipelines(settings, assembly)
    tools = Tools(
        store=store,
        clock=clock,
        settings=settings,
        runbooks=runbooks,
        analysts=analysts,
        tickets=TicketDesk(
            store,
            issues,
            clock,
            oncall_user=settings.gitlab.oncall_user,
            timeout_s=settings.gitlab.timeout_s,
            shared_lease_s=settings.worker.lease_s if is_postgres(settings.database_url) else None,
        ),
        prober=prober,
        logs=observability.logs,
        metrics=observability.metrics,
        alert_states=observability.alert_states,
        containers=containers,
        changes=observability.changes,
        pause_file=DataDirPauseFile(settings.data_dir),
        silences=observability.silences,
        webhooks=webhooks,
        deployments=gitlab,
        pipelines=gitlab,
        missing=assembly.missing,
        extra=extra,
    )
    identity = _identity(settings, assembly)
    return Parts(
        event_log, store, tools, assembly.checks, assembly.missing, assembly.closers, notifier, issues, identity
    )


def build_notifier(settings: Settings) -> Notifier | None:
    """Return what sends to people; raises SettingsInvalid for a URL that can't be used."""
    if not settings.notify.urls:
        return None
    from sreops.adapters.notify.apprise import AppriseNotifier  # noqa: PLC0415  # loaded only where it is configured

    folder = settings.data_dir / "notify"
    # what it starts knows one file of CAs only, and people are told over public services as well
    bundle = write_bundle(settings.ca_file, folder / "trust.pem") if settings.ca_file is not None else None
    return AppriseNotifier(settings.notify, folder, ca_file=bundle)


def _issues(settings: Settings, assembly: Assembly) -> Issues | None:
    if not (settings.gitlab.url and settings.gitlab.token and settings.gitlab.project):
        assembly.absent("gitlab", "SREOPS_GITLAB__URL, __TOKEN and __PROJECT", "incidents are kept locally")
        return None
    issues = GitLabIssues(settings.gitlab, trust=assembly.trust)
    assembly.built("gitlab", issues.health, issues.aclose)
    return issues


def _pipelines(settings: Settings, assembly: Assembly) -> GitLabPipelines | None:
    """Return what reads deployments and acts on GitLab, where it is configured; without it nothing is missing."""
    if not settings.gitlab.url or not (settings.gitlab.token or settings.gitlab.actions or settings.gitlab.deployments):
        return None
    pipelines = GitLabPipelines(settings.gitlab, trust=assembly.trust)
    assembly.closers.append(pipelines.aclose)
    return pipelines


def _containers(settings: Settings, assembly: Assembly) -> Containers | None:
    if not settings.docker.engines:
        assembly.absent("docker", "SREOPS_DOCKER__HOST", "nothing can be remediated")
        return None
    place = OwnPlace(own_addresses(settings))
    engines = {
        name: DockerContainers(settings.docker, place, name=name, trust=assembly.trust)
        for name in settings.docker.engines
    }
    for name, engine in engines.items():
        assembly.built(f"docker:{name}" if name else "docker", engine.health, engine.close)
    return engines[""] if list(engines) == [""] else DockerHosts(engines)


def _identity(settings: Settings, assembly: Assembly) -> IdentityProvider | None:
    if settings.oidc.issuer is None:  # nothing is missing: the API token suffices
        return None
    provider = OidcProvider(settings.oidc)
    assembly.built("oidc", provider.health)
    return provider
