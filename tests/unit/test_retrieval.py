"""Which document fits, and when none does."""

import pytest

from sreops.evaluation.retrieval import Document, Library, Lookup, words

LIBRARY = Library(
    [
        Document("PodCrashLooping", "PodCrashLooping", text="A pod crashes and restarts again and again."),
        Document("ClusterPodCrashLooping", "ClusterPodCrashLooping", text="Half of the pods of a cluster crash."),
        Document("DiskFillingUp", "DiskFillingUp", "Disk filling up", "The disk will be full within a day."),
        Document("ClockSkew", "ClockSkew", text="The clock is out of sync. Look at chrony and NTP."),
    ]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("KubePodNotReady", ["kube", "pod", "ready"]),
        ("kube_pod_not_ready", ["kube", "pod", "ready"]),
        ("HTTPServerErrors5xx", ["http", "server", "error", "5", "xx"]),
        ("{{ $labels.namespace }} is filling", ["fill"]),
        ("", []),
    ],
)
def test_names_are_split_as_people_build_them(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_the_same_name_wins_over_a_longer_one() -> None:
    found = LIBRARY.find(Lookup("PodCrashLooping", "Half of the pods of a cluster crash."))
    assert found.best == "PodCrashLooping"


def test_a_name_spelled_another_way_is_the_same_name() -> None:
    assert LIBRARY.find(Lookup("disk_filling_up")).best == "DiskFillingUp"


def test_another_name_with_other_words_abstains_but_still_ranks() -> None:
    found = LIBRARY.find(Lookup("DiskInodesExhausted", "No inodes are left on the disk."))
    assert found.best is None
    assert found.ranked[0][0] == "DiskFillingUp"
    assert "another name" in found.why


def test_without_a_name_the_text_decides() -> None:
    assert LIBRARY.find(Lookup(text="The clock is out of sync.")).best == "ClockSkew"
    assert LIBRARY.find(Lookup(text="The message queue's consumers lag behind the disk.")).best is None


def test_nothing_in_common_and_nothing_asked_find_nothing() -> None:
    for question in (Lookup("Zebra"), Lookup(), Lookup(text="???")):
        found = LIBRARY.find(question)
        assert (found.ranked, found.best) == ((), None)
    assert Library([]).find(Lookup("Any")).best is None


def test_a_very_long_question_is_cut_not_suffered() -> None:
    assert LIBRARY.find(Lookup(text="disk full " * 200_000)).ranked[0][0] == "DiskFillingUp"
