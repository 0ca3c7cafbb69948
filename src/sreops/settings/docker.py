"""Settings of the container engines."""

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from sreops.setting_values import EngineAddress, EngineName


class DockerSettings(BaseModel):
    """The container engines that sreops may act on; none is discovered.

    ``hosts`` gives each a name, and the host of an alert picks one; ``host`` is the nameless one.
    """

    host: EngineAddress = None  # unix:///var/run/docker.sock, tcp://proxy:2375; none is ever discovered
    hosts: dict[EngineName, EngineAddress] = {}  # several engines: JSON of host name and address
    timeout_s: float = Field(30.0, gt=0)  # of one request that only looks
    stop_timeout_s: int = Field(10, ge=0)  # for containers that do not say their own
    settle_margin_s: float = Field(15.0, ge=0)  # how long a lost answer may still come true
    peer_labels: tuple[str, ...] = ("app.kubernetes.io/part-of",)  # containers with the same value are peers

    @field_validator("hosts")
    @classmethod
    def _each_its_own(cls, value: dict[str, str | None], given: ValidationInfo) -> dict[str, str | None]:
        """Refuse two names for one engine: what is counted by target would be counted twice."""
        if nowhere := sorted(name for name, address in value.items() if not address):
            raise ValueError(f"{', '.join(nowhere)}: give an address, as in unix:///var/run/docker.sock")
        addresses = [address.rstrip("/") for address in (*value.values(), given.data.get("host")) if address]
        if len(set(addresses)) < len(addresses):
            raise ValueError("two names, or SREOPS_DOCKER__HOST and a name, have one address: name each engine once")
        return value

    @property
    def engines(self) -> tuple[str, ...]:
        """The names of the engines that are configured; the nameless one is empty, and comes first."""
        return (*([""] if self.host else []), *self.hosts)
