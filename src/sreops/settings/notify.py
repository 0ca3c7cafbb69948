"""Settings of how people are told."""

import json
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from sreops.domain.records.channel import ChannelRule


def _channels(value: object) -> object:
    """Read Apprise URLs that are separated by spaces, or a JSON list of ``{"url", "severity", "needs"}``."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith(("[", "{")):
        return tuple({"url": url} for url in value.split())
    try:
        read = json.loads(value)
    except ValueError as exc:
        raise ValueError(f"is no JSON list of channels: {exc.__class__.__name__} at {exc}") from None
    return tuple(
        {"url": entry} if isinstance(entry, str) else entry for entry in (read if isinstance(read, list) else [read])
    )


class NotifyChannel(BaseModel):
    """Where people are told; ``severity`` and ``needs`` narrow what (``domain/records/channel.py``)."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    url: SecretStr
    severity: str | tuple[str, ...] | None = None
    needs: str | tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _readable(self) -> Self:
        _ = self.rule
        return self

    @property
    def rule(self) -> ChannelRule:
        """What it takes."""
        return ChannelRule.read(self.severity, self.needs)


class NotifySettings(BaseModel):
    """How people are told."""

    urls: Annotated[tuple[NotifyChannel, ...], NoDecode, BeforeValidator(_channels)] = ()
    """Apprise URLs, separated by spaces, or a JSON list of ``{"url", "severity", "needs"}``."""
    grace_s: float = Field(0.0, ge=0)  # quiet for what heals within
    digest_s: float = Field(3600.0, ge=1)  # what is not told at once
    timeout_s: float = Field(20.0, gt=0)  # of one sending
    memory_mb: int = Field(512, ge=128)  # of one sending's process
    give_up_s: float = Field(24 * 3600.0, gt=0)  # a receiver that takes nothing for so long is not tried again
