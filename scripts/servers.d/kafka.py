"""Apache Kafka: its jars from Maven Central, run with plain `java -cp`."""

from __future__ import annotations

import shutil

from steps import Failed, run, say, servers_dir, staging

VERSION = "4.4.0"
SCALA = "2.13"
SLF4J = "1.7.36"  # the binding that writes Kafka's log to stderr; it must match the slf4j-api that Kafka brings
DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sreops.invalid</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_{SCALA}</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>{SLF4J}</version>
    </dependency>
  </dependencies>
</project>
"""


def installed() -> dict[str, dict[str, str]]:
    directory = servers_dir() / f"kafka-{VERSION}"
    if shutil.which("java") and (directory / "libs" / f"kafka_{SCALA}-{VERSION}.jar").exists():
        return {"kafka": {"version": VERSION, "path": str(directory)}}
    return {}


def packages_needed() -> list[str]:
    """The Debian packages without which Kafka can be neither fetched nor run."""
    needed = {"java": "default-jre-headless", "mvn": "maven"}
    return [package for command, package in needed.items() if not shutil.which(command)]


def install() -> None:
    target = servers_dir() / f"kafka-{VERSION}"
    if not target.exists():
        say(f"Kafka {VERSION}: about 45 jars from Maven Central")
        directory = staging("kafka")
        (directory / "pom.xml").write_text(POM)
        copy = [f"{DEPENDENCY_PLUGIN}:copy-dependencies", "-DoutputDirectory=libs"]
        run(["mvn", "-B", "-ntp", *copy], log="kafka", cwd=directory)
        directory.rename(target)
    if not installed():
        raise Failed(f"{target} has no kafka_{SCALA}-{VERSION}.jar, or java is missing; remove it and run again")
