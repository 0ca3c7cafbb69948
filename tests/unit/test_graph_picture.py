"""The graph's picture in docs/ is drawn from the compiled graph, so it can't go stale."""

from pathlib import Path

from sreops.agent.graph import build_graph

PICTURE = Path(__file__).parents[2] / "docs" / "graph.md"
ORDER = [
    "consume_event", "create_gitlab_issue", "enrich_context", "analyze_root_cause", "match_runbook",
    "execute_remediation", "verify_success", "close_or_escalate",
]  # fmt: skip


def drawn() -> str:
    mermaid = build_graph().get_graph().draw_mermaid(with_styles=False)
    return (
        "# The agent's graph\n\nDrawn from the compiled graph; `UPDATE_PICTURE=1 scripts/test "
        "tests/unit/test_graph_picture.py` draws it anew.\n\n"
        f"```mermaid\n{mermaid.strip()}\n```\n"
    )


def test_the_picture_is_that_of_the_compiled_graph() -> None:
    import os

    if os.environ.get("UPDATE_PICTURE"):
        PICTURE.write_text(drawn())
    assert PICTURE.read_text() == drawn(), "run: UPDATE_PICTURE=1 scripts/test tests/unit/test_graph_picture.py"


def test_the_eight_nodes_stand_in_the_order_of_the_design() -> None:
    nodes = [name for name in build_graph().get_graph().nodes if name in ORDER]
    assert nodes == ORDER


def test_every_path_ends_in_close_or_escalate() -> None:
    graph = build_graph().get_graph()
    ends = {edge.source for edge in graph.edges if edge.target == "__end__"}
    assert ends == {"close_or_escalate"}
