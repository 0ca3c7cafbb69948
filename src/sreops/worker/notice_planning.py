"""Planning notices: what is put out is worded, and given to the channels that take it, once."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sreops.domain.incidents.incident import IncidentStatus
from sreops.domain.records.channel import next_digest
from sreops.domain.records.message import compose
from sreops.domain.records.notice import Notice, NoticeKind, why_quiet
from sreops.errors import NotFound
from sreops.ports import Channel, Clock, IncidentStore, Silences, Telling
from sreops.settings import NotifySettings
from sreops.telemetry import NOTICES, log
from sreops.worker.silenced import SilencedIncidents

NOTICE_PLANNED: Final = "notify.planned"
NOBODY_TOLD: Final = "notify.nobody_told"
SAME_BREATH_S: Final = 2.0
"""So long "got worse" and "is back" wait for what comes of it, which says the same and more."""
_EVENTS = 50  # of an incident, the newest, to word what is wrong
_PLANNED_AT_ONCE = 100


class NoticePlanner:
    """Plans the notices of one store for the channels that are configured, by their names."""

    def __init__(
        self,
        *,
        store: IncidentStore,
        clock: Clock,
        settings: NotifySettings,
        channels: Mapping[str, Channel],
        public_url: str | None,
        silences: Sequence[Silences] = (),
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._channels = channels
        self._public_url = public_url
        self._silenced = SilencedIncidents(store, silences, clock)
        self._waiting_for_silence = 0

    async def plan(self) -> None:
        """Give what is put out, and due, to its channels."""
        # what is held back while a silence lasts must not stand before all others
        unplanned = await self._store.unplanned_notices(limit=_PLANNED_AT_ONCE + self._waiting_for_silence)
        held: set[str] = set()
        self._waiting_for_silence = 0
        for place, notice in enumerate(unplanned):
            later = [other for other in unplanned[place + 1 :] if other.incident_id == notice.incident_id]
            if notice.incident_id in held or not self._is_due(notice, later):
                held.add(notice.incident_id)
                continue
            if notice.kind.asks and await self._silenced.holds(notice.incident_id):
                held.add(notice.incident_id)
                self._waiting_for_silence += 1 + len(later)
                continue
            try:
                await self._plan_one(notice, later)
            except NotFound:  # forgotten meanwhile, and the notice with it
                continue

    def _is_due(self, notice: Notice, later: Sequence[Notice]) -> bool:
        if later or not notice.kind.asks or notice.at is None:
            return True  # what comes after it tells whether it still counts
        soon = notice.kind in (NoticeKind.worse, NoticeKind.returned)
        wait_s = max(self._settings.grace_s, SAME_BREATH_S if soon else 0.0)
        return self._clock.now() >= notice.at + timedelta(seconds=wait_s)

    async def _plan_one(self, notice: Notice, later: Sequence[Notice]) -> None:
        now = self._clock.now()
        if not self._channels:
            await self._quiet(notice, "no channel is configured (SREOPS_NOTIFY__URLS)", now)
            return
        incident = await self._store.incident(notice.incident_id)
        told = _since_it_was_over(await self._store.deliveries(incident.id), notice)
        if why := why_quiet(notice, incident, later, told_before=bool(told)):
            await self._quiet(notice, why, now)
            return
        channels = self._route(notice, told, now)
        if not channels:
            await self._quiet(notice, f"no channel takes {notice.severity.value} of this kind", now)
            return
        events = await self._store.events(incident.id, newest=_EVENTS)
        approval = await self._store.approval(incident.id, incident.episode)
        waits = approval is not None and incident.status is IncidentStatus.awaiting_approval
        message = compose(
            notice,
            incident,
            events,
            expires_at=approval.expires_at if approval is not None and waits else None,
            public_url=self._public_url,
            now=now,
        )
        words = message.model_dump(mode="json")
        if await self._store.plan_notice(notice.seq, message=words, quiet=None, channels=channels, now=now):
            NOTICES.labels(notice.kind.value, "planned").inc()
            log.info(NOTICE_PLANNED, incident_id=incident.id, kind=notice.kind.value, channels=len(channels))

    async def _quiet(self, notice: Notice, why: str, now: datetime) -> None:
        if await self._store.plan_notice(notice.seq, message=None, quiet=why, channels=(), now=now):
            NOTICES.labels(notice.kind.value, "quiet").inc()
            log.info(NOBODY_TOLD, incident_id=notice.incident_id, kind=notice.kind.value, why=why)

    def _route(self, notice: Notice, told: Mapping[str, bool], now: datetime) -> list[tuple[str, bool, datetime]]:
        """Return channel, whether as a part of its digest, and when; ``told``: who knows of it, and by digest only."""
        chosen = []
        for channel in self._channels.values():
            if notice.kind.asks:
                if not channel.rule.takes(notice):
                    continue
                digest = not channel.rule.at_once(notice)
            elif channel.name in told:
                digest = told[channel.name]
            else:
                continue
            chosen.append((channel.name, digest, next_digest(now, self._settings.digest_s) if digest else now))
        return chosen


def _since_it_was_over(tellings: Sequence[Telling], notice: Notice) -> dict[str, bool]:
    """Return the channels that know of the trouble since it was last over, and whether by digest only."""
    told: dict[str, bool] = {}
    for telling in tellings:
        if telling.notice.seq >= notice.seq:
            break
        if telling.notice.kind is NoticeKind.resolved:
            told = {}
        elif telling.notice.kind.asks and telling.channel is not None and telling.reached:
            told[telling.channel] = told.get(telling.channel, True) and telling.digest
    return told
