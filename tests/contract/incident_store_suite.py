"""Everything that an IncidentStore promises; a test module per database subclasses it with two fixtures.

``store`` is an open store with the audit key ``b"audit key"``; ``another`` opens one more on the same data,
as a second replica or as the process after a crash would.
"""

from store_dispatch_suite import DispatchSuite
from store_effects_suite import ApprovalsSuite, EffectsSuite
from store_intake_suite import IntakeSuite
from store_joins_suite import JoinsSuite
from store_meeting_suite import MeetingSuite
from store_notices_suite import NoticesSuite
from store_people_suite import PeopleSuite
from store_records_suite import ReadingSuite, TicketsSuite, WritesSuite
from store_replicas_suite import ReplicasSuite
from store_search_suite import SearchSuite
from store_sessions_suite import ApiTokensSuite, SessionsSuite
from store_upkeep_suite import DeadLetterSuite, RetentionSuite


class IncidentStoreSuite(
    IntakeSuite,
    JoinsSuite,
    MeetingSuite,
    DispatchSuite,
    EffectsSuite,
    ApprovalsSuite,
    WritesSuite,
    TicketsSuite,
    ReadingSuite,
    SearchSuite,
    DeadLetterSuite,
    RetentionSuite,
    ReplicasSuite,
    NoticesSuite,
    PeopleSuite,
    SessionsSuite,
    ApiTokensSuite,
):
    """The whole contract."""
