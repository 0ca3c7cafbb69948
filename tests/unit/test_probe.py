"""A probe tells of each part what came back, the query, what was tried before, and the cure."""

from sreops.domain.evidence import findings
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.evidence.probe import EvidencePart, ProbeAnswer, lacking, probed


def piece(kind: EvidenceKind, source: str, **more: object) -> Evidence:
    return Evidence(id="E1", kind=kind, source=source, finding=f"{source} said so", **more)  # type: ignore[arg-type]


CONTAINER = piece(EvidenceKind.container, "docker")
LOGS = piece(EvidenceKind.logs, "loki", query='{container="pay"}', data={"lines": 7, "tried": ['{app="pay"}: 0 lines']})
SILENT = piece(EvidenceKind.logs, "loki", query='{container="pay"}', data={"lines": 0, "cure": "ship its logs"})
METRIC = piece(EvidenceKind.metric, "prometheus", query="up")
OF_OTHERS = [piece(kind, "x") for kind in EvidenceKind if kind.value in ("alert", "history", "neighbour", "suspects")]


def test_parts_come_in_their_order_and_conclusions_and_neighbours_are_no_part() -> None:
    asked = probed([METRIC, *OF_OTHERS, LOGS, CONTAINER])
    assert [one.part for one in asked] == [EvidencePart.container, EvidencePart.logs, EvidencePart.metrics]
    assert {one.answer for one in asked} == {ProbeAnswer.found}
    assert lacking(asked) == ()


def test_the_query_and_what_was_tried_before_it_are_told() -> None:
    [logs] = probed([LOGS])
    assert (logs.query, logs.tried) == ('{container="pay"}', ('{app="pay"}: 0 lines',))


def test_no_line_and_a_gap_are_nothing_found_with_their_cure() -> None:
    asked = probed([SILENT, findings.gap("docker", "no container is named pay", "label alerts")])
    assert [(one.answer, one.cure) for one in asked] == [
        (ProbeAnswer.nothing, "label alerts"),
        (ProbeAnswer.nothing, "ship its logs"),
    ]
    assert lacking(asked) == (EvidencePart.container, EvidencePart.logs)


def test_where_a_part_was_found_elsewhere_it_is_not_lacking() -> None:
    own_log = piece(EvidenceKind.logs, "docker", data={"lines": 3})
    assert lacking(probed([findings.gap("loki", "no answer"), own_log])) == ()


def test_what_is_not_configured_is_told_and_is_nobody_s_fault() -> None:
    asked = probed([findings.gap("loki", "not configured", "set SREOPS_LOKI__URL")])
    assert [(one.part, one.answer, one.cure) for one in asked] == [
        (EvidencePart.logs, ProbeAnswer.not_configured, "set SREOPS_LOKI__URL")
    ]
    assert lacking(asked) == ()
