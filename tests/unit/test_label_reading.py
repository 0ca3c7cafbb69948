"""What labels say by themselves, and which of it is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreops.domain.alerts.alert import Tier
from sreops.domain.alerts.label_reading import LabelReader, LabelReading
from sreops.domain.alerts.payload import ReadingRules

LABELS = {"alertname": "HighMemory", "service": "payments", "tier": "0", "escalate_threshold": "much"}


def told(said: LabelReading) -> tuple[object, ...]:
    asked = (said.agent_action, said.runbook_id, said.escalate_threshold)
    return (said.sent, said.labels, said.tier, said.subject, asked, said.notes.lines(), said.told)


def test_the_labels_of_a_repeat_are_not_read_again():
    reader = LabelReader(ReadingRules())
    assert reader.read(dict(LABELS), "") is reader.read(dict(LABELS), "")


@pytest.mark.parametrize(
    ("labels", "group"),
    [
        (LABELS | {"description": "x" * 2000}, ""),
        (LABELS | {f"l{number}": "x" for number in range(40)}, ""),
        (LABELS | {"city": "Zürich"}, ""),
        (LABELS | {"replicas": 3}, ""),
        (LABELS, "x" * 300),
        ("none", ""),
    ],
)
def test_what_is_large_or_odd_is_read_each_time_and_comes_to_the_same(labels, group):
    reader = LabelReader(ReadingRules())
    first, second = reader.read(labels, group), reader.read(labels, group)
    assert first is not second
    assert told(first) == told(second)


def test_only_so_many_label_sets_are_kept_and_the_oldest_goes():
    reader = LabelReader(ReadingRules())
    first = reader.read(LABELS, "")
    for number in range(4095):
        reader.read({"service": f"s{number}"}, "")
    assert reader.read(LABELS, "") is first
    reader.read({"service": "one more"}, "")
    assert reader.read(LABELS, "") is not first


NAMES = st.sampled_from(["alertname", "service", "job", "instance", "tier", "runbook_id", "namespace"])
SETS = st.dictionaries(NAMES, st.sampled_from(["", "0", "2", "payments", "cadvisor", "10.0.0.1:9100", "odd"]))


@given(st.lists(st.tuples(SETS, st.sampled_from(["", "Group", "payments"])), max_size=12))
def test_a_reader_that_has_seen_others_says_what_a_new_one_says(sets):
    rules = ReadingRules(may_be_autonomous=False)
    reader = LabelReader(rules)
    for labels, group in [*sets, *sets]:
        assert told(reader.read(labels, group)) == told(LabelReader(rules).read(labels, group))


def test_the_groups_alertname_stands_in_for_the_labels_own():
    reader = LabelReader(ReadingRules())
    assert reader.read({"team": "x"}, "Group").subject.name == "Group"
    assert reader.read({"team": "x"}, "Other").subject.name == "Other"
    assert reader.read({"team": "x"}, "").subject.name == ""
    assert reader.read({"team": "x", "alertname": "Own"}, "Group").subject.name == "Own"


def test_the_groups_alertname_is_not_told_to_be_taken_where_a_label_names_the_rule():
    said = LabelReader(ReadingRules()).read({"rulename": "Rule7"}, "Group")
    assert said.subject.name == "Rule7"
    assert not said.notes.lines()


@pytest.mark.parametrize("instance", ["[", "[]", "[]:9100"])
def test_an_instance_without_a_host_names_nobody(instance):
    said = LabelReader(ReadingRules()).read({"alertname": "HostDown", "instance": instance}, "")
    assert said.subject.name == "HostDown"


def test_nobody_is_autonomous_where_nothing_proves_who_sends():
    said = LabelReader(ReadingRules(may_be_autonomous=False)).read(LABELS, "")
    assert said.tier is Tier.supervised
    assert any("tier autonomous, read as supervised" in words for words in said.told)
    assert LabelReader(ReadingRules()).read(LABELS, "").tier is Tier.autonomous
