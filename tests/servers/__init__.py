"""The real servers that tests run against; `scripts/servers` installs them.

    from servers.kafka import Kafka          # pyproject.toml puts tests/ on the path
    from servers.waiting import eventually

Every server is a class with start, stop, kill (-9), pause, resume and restart (same data, same port), and
fixtures of the same name start it for a session (fixtures.py). start, stop and restart wait, so a test
that runs on an event loop calls `await asyncio.to_thread(kafka.restart)`; kill, pause and resume don't.
Importing anything here needs none of the servers.
"""
