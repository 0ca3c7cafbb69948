"""The clock that never goes back."""

from datetime import UTC, datetime, timedelta

from sreops.adapters.steady_clock import SteadyClock

T0 = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Machine:
    """A wall clock that somebody sets, and a monotonic one that nobody can."""

    def __init__(self):
        self.wall_s = self.up_s = 0.0

    def pass_(self, seconds):
        self.wall_s += seconds
        self.up_s += seconds

    def clock(self):
        return SteadyClock(lambda: T0 + timedelta(seconds=self.wall_s), lambda: self.up_s)


def seconds(moment):
    return (moment - T0).total_seconds()


async def test_it_is_the_wall_clock_while_that_goes_on():
    machine = Machine()
    clock = machine.clock()
    for _ in range(3):
        machine.pass_(10)
        assert seconds(clock.now()) == machine.wall_s
    machine.wall_s += 3600  # a suspend, or a clock that was behind
    assert seconds(clock.now()) == 3630
    assert (await clock.health()).status == "up"


async def test_set_back_an_hour_it_goes_on_at_half_speed_until_the_wall_clock_has_caught_up_and_says_so():
    machine = Machine()
    clock = machine.clock()
    machine.pass_(100)
    before = clock.now()
    machine.wall_s -= 3600
    assert clock.now() == before
    machine.pass_(10)
    assert seconds(clock.now()) == 105
    health = await clock.health()
    assert health.status == "down"
    assert "3595 s ahead" in health.detail
    last = clock.now()
    for _ in range(80):
        machine.pass_(100)
        assert clock.now() > last
        last = clock.now()
    assert seconds(clock.now()) == machine.wall_s
    assert (await clock.health()).status == "up"


async def test_small_corrections_are_nobody_s_business():
    machine = Machine()
    clock = machine.clock()
    machine.pass_(10)
    clock.now()
    machine.wall_s -= 2
    assert seconds(clock.now()) == 10
    assert (await clock.health()).status == "up"


async def test_a_clock_set_back_while_nobody_was_running_goes_on_from_what_the_store_was_told():
    machine = Machine()
    clock = machine.clock()
    clock.not_before(T0 + timedelta(hours=1))
    assert seconds(clock.now()) == 3600
    assert (await clock.health()).status == "down"


async def test_a_stored_time_far_in_the_future_is_not_believed_but_told():
    machine = Machine()
    clock = machine.clock()
    clock.not_before(T0 + timedelta(days=400))
    machine.pass_(1)
    assert seconds(clock.now()) == 1
    assert "400" not in (health := await clock.health()).detail
    assert health.status == "down"
    assert "9600 hours ahead" in health.detail


async def test_the_correction_of_a_clock_that_was_days_ahead_is_followed():
    machine = Machine()
    machine.pass_(5 * 86400)
    clock = machine.clock()
    clock.now()
    machine.wall_s = 50
    assert seconds(clock.now()) == 50
