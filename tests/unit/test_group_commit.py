"""Calls that share a turn: who is taken along, and who is told what."""

import asyncio
from collections.abc import Sequence

import pytest

from servers.waiting import eventually
from sreops.adapters.sql.group_commit import GroupCommit
from sreops.errors import StoreUnavailable


class Disk:
    """Takes groups of words when it is let; a word may be refused, or bring the whole disk down."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.at_once = self.most_at_once = 0
        self.free = asyncio.Event()
        self.free.set()

    async def together(self, group: Sequence[str]) -> Sequence[str | BaseException]:
        self.groups.append(list(group))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.free.wait()
        finally:
            self.at_once -= 1
        for word in group:
            if word == "away":
                raise StoreUnavailable("the disk is full")
            if word == "odd":
                raise ValueError("odd can't be written")
        return [KeyError(word) if word == "refused" else word.upper() for word in group]


def commits(disk: Disk, most: int = 10, carriers: int = 1) -> GroupCommit[str, str]:
    return GroupCommit(disk.together, name="writer", most=most, carriers=carriers)


async def told(*futures: "asyncio.Future[str]") -> list[object]:
    return await asyncio.gather(*futures, return_exceptions=True)


async def test_what_is_asked_for_meanwhile_shares_the_next_turn() -> None:
    disk = Disk()
    group = commits(disk)
    disk.free.clear()
    first = group.put("a")
    await eventually(lambda: disk.groups, what="the first turn to begin")
    rest = [group.put(word) for word in ("b", "c", "d")]
    disk.free.set()
    assert await told(first, *rest) == ["A", "B", "C", "D"]
    assert disk.groups == [["a"], ["b", "c", "d"]]


async def test_a_refusal_is_told_to_its_caller_alone() -> None:
    a, refused, c = await told(*map((group := commits(Disk())).put, ("a", "refused", "c")))
    assert (a, c) == ("A", "C")
    assert isinstance(refused, KeyError)
    assert await group.put("later") == "LATER"


async def test_a_call_that_breaks_its_group_is_told_so_and_the_others_are_served() -> None:
    disk = Disk()
    a, odd, c = await told(*map(commits(disk).put, ("a", "odd", "c")))
    assert (a, c) == ("A", "C")
    assert isinstance(odd, ValueError)
    assert disk.groups == [["a", "odd", "c"], ["a"], ["odd", "c"], ["odd"], ["c"]]


async def test_one_call_that_fails_among_many_costs_a_few_groups_more_and_nobody_is_tried_out_of_turn() -> None:
    disk = Disk()
    words = [f"w{number}" for number in range(64)]
    words[40] = "odd"
    outcomes = await told(*map(commits(disk, most=64).put, words))
    assert [outcome for outcome in outcomes if not isinstance(outcome, ValueError)] == [
        word.upper() for word in words if word != "odd"
    ]
    assert len(disk.groups) == 13
    kept = [word for group in disk.groups if "odd" not in group for word in group]
    assert kept == [word for word in words if word != "odd"]


async def test_a_database_that_goes_away_meanwhile_is_asked_once_for_each_half() -> None:
    disk = Disk()
    outcomes = await told(*map(commits(disk).put, ("odd", "b", "away", "d")))
    assert [type(outcome) for outcome in outcomes] == [ValueError, str, StoreUnavailable, StoreUnavailable]
    assert disk.groups[-1] == ["away", "d"]


async def test_what_befell_the_database_befell_them_all_and_is_not_tried_again() -> None:
    disk = Disk()
    outcomes = await told(*map((group := commits(disk)).put, ("a", "away", "c")))
    assert [str(outcome) for outcome in outcomes] == ["the disk is full"] * 3
    assert len(disk.groups) == 1
    assert await group.put("d") == "D", "the writer goes on"


async def test_who_has_gone_before_his_turn_is_left_out() -> None:
    disk = Disk()
    group = commits(disk)
    disk.free.clear()
    first = group.put("a")
    await eventually(lambda: disk.groups, what="the first turn to begin")
    gone, late, stays = group.put("gone"), group.put("late"), group.put("stays")
    gone.cancel()
    late.set_exception(TimeoutError())
    first.cancel()  # its turn has begun: it is written, and told to nobody
    disk.free.set()
    assert await stays == "STAYS"
    assert disk.groups == [["a"], ["stays"]]
    with pytest.raises(TimeoutError):
        await late


async def test_groups_are_bounded_by_weight_and_a_heavy_call_goes_alone() -> None:
    disk = Disk()
    group: GroupCommit[str, str] = GroupCommit(disk.together, name="writer", most=4, weight=len)
    assert await told(*map(group.put, ("aa", "bb", "c", "heavier", "d"))) == ["AA", "BB", "C", "HEAVIER", "D"]
    assert disk.groups == [["aa", "bb"], ["c"], ["heavier"], ["d"]]


async def test_several_carriers_work_beside_each_other_and_one_never_does() -> None:
    for carriers in (1, 3):
        disk = Disk()
        group = commits(disk, most=1, carriers=carriers)
        disk.free.clear()
        calls = [group.put(f"{number}") for number in range(9)]
        await eventually(lambda disk=disk, carriers=carriers: disk.at_once == carriers, what="all to be busy")  # type: ignore[misc]
        disk.free.set()
        await asyncio.gather(*calls)
        assert disk.most_at_once == carriers
        await group.idle()
        assert await group.put("again") == "AGAIN"


async def test_a_call_that_comes_as_the_writer_ends_is_carried_out() -> None:
    group = commits(Disk())
    for number in range(50):
        assert await asyncio.wait_for(group.put(f"{number}"), 5) == f"{number}"
