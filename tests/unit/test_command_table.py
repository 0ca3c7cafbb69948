"""Every command of the command line is carried out by something."""

import argparse

from sreops import __main__ as command_line


def test_each_command_that_is_offered_is_carried_out() -> None:
    [commands] = [one for one in command_line.parser()._actions if isinstance(one, argparse._SubParsersAction)]
    assert set(commands.choices) == set(command_line._COMMANDS)
