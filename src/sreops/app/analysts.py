"""Where the analysts are built: Claude, the rules, and the tools of MCP servers that Claude may ask."""

import contextlib
from collections.abc import AsyncIterator, Sequence

from sreops.adapters.rules import RuleAnalyst
from sreops.adapters.steady_clock import SteadyClock
from sreops.adapters.store import SqlIncidentStore
from sreops.adapters.trust import client_trust
from sreops.app.assembly import Assembly
from sreops.domain.causes.analysis import Brief
from sreops.errors import SettingsInvalid
from sreops.ports import Analyst, ExtraTools
from sreops.settings import Settings


def build_analysts(
    settings: Settings, store: SqlIncidentStore, clock: SteadyClock, assembly: Assembly
) -> Sequence[Analyst]:
    """Return who is asked, in order: Claude where there is a key, and the rules, which always answer."""
    rules = RuleAnalyst()
    if settings.llm_api_key is None:
        assembly.absent("model", "SREOPS_LLM__API_KEY or ANTHROPIC_API_KEY", "the rule analyst answers")
        return [rules]
    from sreops.adapters.claude import ClaudeAnalyst  # noqa: PLC0415  # loaded only where it is configured

    claude = ClaudeAnalyst(settings.llm, settings.llm_api_key, ledger=store, clock=clock, trust=assembly.trust)
    assembly.built("model", claude.health, claude.aclose)
    return [claude, rules]


def build_extra_tools(settings: Settings, assembly: Assembly) -> ExtraTools | None:
    """Return the tools of MCP servers, or None: without a model nobody would ask them."""
    if not settings.mcp.servers or settings.llm_api_key is None:
        return None
    try:
        from sreops.adapters.mcp_tools import McpTools  # noqa: PLC0415  # the client is an extra
    except ImportError as exc:
        raise SettingsInvalid(["SREOPS_MCP__SERVERS needs the MCP client: pip install 'sreops[mcp]'"]) from exc
    tools = McpTools(settings.mcp, assembly.trust)
    assembly.built("mcp", tools.health)
    return tools


@contextlib.asynccontextmanager
async def open_analyst(name: str, settings: Settings) -> AsyncIterator[Analyst]:
    """Open one analyst alone, for ``eval``. Raises SettingsInvalid where ``claude`` has no key."""
    if name != "claude":
        yield RuleAnalyst()
        return
    if settings.llm_api_key is None:
        raise SettingsInvalid(["--analyst claude needs SREOPS_LLM__API_KEY or ANTHROPIC_API_KEY"])
    from sreops.adapters.claude import ClaudeAnalyst  # noqa: PLC0415  # loaded only where it is configured

    claude = ClaudeAnalyst(settings.llm, settings.llm_api_key, trust=client_trust(settings.ca_file))
    try:
        yield claude
    finally:
        await claude.aclose()


def model_text(brief: Brief) -> str:
    """Return the very text that the model would get of this brief, with a fixed mark so that runs compare."""
    from sreops.adapters.claude.prompt import user_message  # noqa: PLC0415  # loaded only where it is configured

    return user_message(brief, mark="0" * 16)
