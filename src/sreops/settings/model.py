"""Settings of the model, its ceilings, and the MCP servers that it may ask."""

from typing import Annotated, Self

from pydantic import BaseModel, Field, SecretStr, StringConstraints, field_validator, model_validator

from sreops.domain.model.cost import PRICES, Price
from sreops.setting_values import HttpUrl, OptionalSecret


class LLMSettings(BaseModel):
    """The model; without a key the rule analyst answers."""

    api_key: OptionalSecret = None  # also ANTHROPIC_API_KEY
    base_url: HttpUrl = None  # a gateway, instead of Anthropic's own address
    model: str = "claude-sonnet-5-5"
    timeout_s: float = Field(60.0, gt=0)  # of silence: an answer that keeps coming has time until the deadline
    deadline_s: float = Field(150.0, gt=0)  # of one incident's analysis, its questions and retries included
    max_tokens: int = Field(8192, ge=256, le=21_000)  # of one answer, thinking included
    max_retries: int = Field(2, ge=0, le=10)  # of one question
    max_retry_wait_s: float = Field(30.0, ge=0)  # the server may ask for more: then the rules answer
    max_steps: int = Field(6, ge=0, le=50)  # turns in which the model may ask; 0: it gets no tools
    max_tool_calls: int = Field(12, ge=0, le=200)  # of one incident
    max_result_chars: int = Field(8_000, ge=200)  # of one tool's answer
    max_usd_per_incident: float = Field(1.0, ge=0, allow_inf_nan=False)  # a ceiling: above it the rules answer
    max_usd_per_day: float = Field(20.0, ge=0, allow_inf_nan=False)  # a ceiling over all incidents and replicas
    max_tokens_per_incident: int = Field(400_000, ge=0)  # a ceiling
    max_tokens_per_day: int = Field(20_000_000, ge=0)  # a ceiling
    breaker_failures: int = Field(3, ge=1)  # in a row, until the model is left alone
    breaker_open_s: float = Field(30.0, gt=0)  # for so long
    prices: dict[str, Price] = Field({}, validate_default=True)  # US dollars per million tokens, by model id

    @field_validator("prices")
    @classmethod
    def _added_to_the_published(cls, value: dict[str, Price]) -> dict[str, Price]:
        return {**PRICES, **value}


class McpServer(BaseModel):
    """One MCP server: ``command`` (stdio) or ``url`` (streamable HTTP, with ``token`` as bearer).

    ``tools`` is the allowlist. A glob lets through what the server annotates as read-only; a tool without that
    annotation must be named in full.
    """

    command: tuple[str, ...] = ()
    env: dict[str, SecretStr] = {}
    url: HttpUrl = None
    token: OptionalSecret = None
    tools: tuple[str, ...] = ()
    timeout_s: float = Field(20.0, gt=0)

    @model_validator(mode="after")
    def _one_transport(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("give either `command` (a list: stdio) or `url` (streamable HTTP)")
        if not self.tools:
            raise ValueError("give `tools`: which of its tools may be used")
        return self


class McpSettings(BaseModel):
    """MCP servers whose read-only tools the model may use besides its own; JSON by name."""

    servers: dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")], McpServer] = {}
