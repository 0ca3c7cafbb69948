"""Apache Kafka: one KRaft node that is broker and controller."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from servers.installed import path_of
from servers.ports import free_port, listens
from servers.process import DidNotStart, Server


class Kafka(Server):
    """`bootstrap` is what clients connect to; `settings` overrides lines of server.properties."""

    name = "kafka"

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._home = path_of("kafka")
        self._java = shutil.which("java") or "java"
        super().__init__()
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        controller = f"127.0.0.1:{free_port()}"
        self._properties = self.directory / "server.properties"
        self.settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.directory / "data"),
            "num.partitions": "1",
            # one node: what is replicated three times by default could never be created
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",  # else the first member waits 3 s for others
            # after kill -9 the node waits for its own former session to lapse: 9 s by default
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            **(settings or {}),
        }

    def _java_command(self, main: str, *arguments: str) -> list[str]:
        # small and quick to start: the tests want its behaviour, not its throughput
        heap = ["-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]
        # warnings, and the line that says it has started: its settings alone would be 400 lines
        logged = {
            "defaultLogLevel": "warn",
            "log.kafka.server.KafkaRaftServer": "info",
            "showDateTime": "true",
            "dateTimeFormat": "yyyy-MM-dd'T'HH:mm:ss.SSS",
        }
        log = [f"-Dorg.slf4j.simpleLogger.{key}={value}" for key, value in logged.items()]
        return [self._java, *heap, *log, "-cp", f"{self._home}/libs/*", main, *arguments]

    def prepare(self) -> None:
        if (self.directory / "data").exists():
            return
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in self.settings.items()))
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        arguments = ["format", f"--cluster-id={cluster_id}", "-c", str(self._properties)]
        done = subprocess.run(
            self._java_command("kafka.tools.StorageTool", *arguments),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise DidNotStart(f"Kafka's storage could not be formatted: {done.stdout}{done.stderr}")

    def command(self) -> list[str]:
        return self._java_command("kafka.Kafka", str(self._properties))

    def ready(self) -> bool:
        # the port accepts before the broker is unfenced, and a client that comes then sees no leader
        return "Kafka Server started" in self.log_since_start() and listens(self.port)
