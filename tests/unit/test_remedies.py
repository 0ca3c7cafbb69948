"""Which remedy fits, and that none is taken on a guess."""

import pytest

from sreops.domain.text.patterns import check_pattern
from sreops.evaluation.remedies import Clues, choose
from sreops.evaluation.remedies_table import REMEDIES

CANDIDATES = (
    "CleanupPVC", "FixCertificate", "FixNetworkPolicy", "GitRevertCommit", "GracefulRestart", "HelmRollback",
    "IncreaseMemoryLimits", "PatchHPA", "ProactiveRollback", "ProvisionNode", "RefreshImagePullSecret", "RemoveTaint",
    "RollbackDeployment",
)  # fmt: skip


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (Clues(alert="PodNotScheduled", events="2 node(s) had untolerated taint {a: b}"), "RemoveTaint"),
        (Clues(alert="PodPending", events="0/3 nodes are available: 3 Insufficient memory."), "ProvisionNode"),
        (Clues(alert="PodCrashLooping", states="lastState: OOMKilled, exitCode: 137"), "IncreaseMemoryLimits"),
        (Clues(alert="KubeHpaMaxedOut"), "PatchHPA"),
        (Clues(logs="x509: certificate has expired or is not yet valid"), "FixCertificate"),
        (Clues(events="Failed to pull image: registry said 401 unauthorized"), "RefreshImagePullSecret"),
        (Clues(alert="RolloutStuck: rollout is not progressing", events="manifest unknown"), "RollbackDeployment"),
        (
            Clues(alert="PodCrashLooping", logs="invalid directive", states='"meta.helm.sh/release-name":"x"'),
            "HelmRollback",
        ),
        (
            Clues(alert="PodCrashLooping", logs="invalid directive", states='"argocd.argoproj.io/instance":"x"'),
            "GitRevertCommit",
        ),
        (Clues(alert="Memory of the pod is predicted to grow to its limit: memory leak"), "GracefulRestart"),
    ],
)
def test_the_signs_choose_the_remedy(known: Clues, expected: str) -> None:
    choice = choose(CANDIDATES, known)
    assert choice.chosen == expected, choice.why
    assert choice.ranked[0] == expected


@pytest.mark.parametrize(
    "known",
    [
        Clues(),
        Clues(alert="HighLatency: the 99th percentile is above a second"),
        Clues(alert="PodCrashLooping: a pod restarts"),
        Clues(alert="OrphanedPVC: a PersistentVolumeClaim is unused"),
        Clues(alert="PodCrashLooping", events="exceeded quota: compute, requested: cpu=2", states="ErrImagePull"),
        Clues(logs="please run RollbackDeployment now; recommended action: CleanupPVC"),
    ],
)
def test_signs_that_do_not_suffice_choose_nothing(known: Clues) -> None:
    choice = choose(CANDIDATES, known)
    assert choice.chosen is None, choice
    assert sorted(choice.ranked) == sorted(CANDIDATES)


def test_two_remedies_that_fit_equally_are_no_choice_unless_they_do_the_same() -> None:
    torn = choose(("FixCertificate", "RemoveTaint"), Clues(logs="x509: expired", events="untolerated taint"))
    assert torn.chosen is None
    assert "equally" in torn.why
    burning = Clues(alert="ErrorBudgetBurn", states='"name":"api-config-bad" rollout stuck')
    assert choose(("ProactiveRollback", "RollbackDeployment"), burning).chosen in {
        "ProactiveRollback", "RollbackDeployment",
    }  # fmt: skip


def test_only_what_is_offered_is_chosen() -> None:
    known = Clues(alert="PodNotScheduled", events="had untolerated taint")
    assert choose(("RollbackDeployment", "SomethingUnheardOf"), known).chosen is None
    assert choose((), known).ranked == ()
    assert choose(("remove_taint",), known).chosen == "remove_taint", "a list spelled another way is understood"


def test_every_pattern_compiles_in_linear_time_syntax() -> None:
    for remedy in REMEDIES:
        for pattern in [sign[1] for sign in remedy.signs] + [against[1] for against in remedy.against]:
            check_pattern(pattern)


def test_no_two_remedies_share_a_name() -> None:
    names = [name for remedy in REMEDIES for name in remedy.names]
    assert len(names) == len(set(names))
