"""How a container or service is reached: networks, addresses, published ports. Pure values."""

from pydantic import BaseModel, ConfigDict


class Attachment(BaseModel):
    """One network that it is in: its names and addresses there, its subnets, and the host's own address (gateway)."""

    model_config = ConfigDict(frozen=True)
    network: str
    names: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    subnets: frozenset[str] = frozenset()
    gateway: str = ""


class Published(BaseModel):
    """A port of the host that leads to it; ``host_ip`` empty: every address of the host."""

    model_config = ConfigDict(frozen=True)
    port: int
    host_ip: str = ""


class Reach(BaseModel):
    """How others reach it; ``on_host_network``: its ports are the host's."""

    model_config = ConfigDict(frozen=True)
    attachments: tuple[Attachment, ...] = ()
    published: tuple[Published, ...] = ()
    hostname: str = ""
    on_host_network: bool = False
