"""The declared remedies of a cluster: by which names they go, their signs, and what speaks against them.

Signs are general knowledge of how Kubernetes and what runs on it say that something is wrong, not lines of any one
case. Strengths: 1.0 names the very thing that the remedy mends; 0.5 fits it and other things; less only supports.
"""

from dataclasses import dataclass

Sign = tuple[str, str, float]
"""Where (``alert``, ``events``, ``logs``, ``states``, several with ``|``, or ``any``), RE2 pattern, strength."""


@dataclass(frozen=True)
class Remedy:
    """One remedy under its names; ``against`` are (where, pattern) that rule it out.

    ``enough`` is the strength it needs; of one ``family`` any member does about the same.
    """

    names: tuple[str, ...]
    signs: tuple[Sign, ...]
    against: tuple[tuple[str, str], ...] = ()
    enough: float = 1.0
    family: str = ""


_BAD_CONFIG = (
    r"(?:invalid|unknown|unrecognized|unsupported|bad)[ _-]?(?:directive|option|configuration|config\b|key|value)|"
    r"config(?:uration)?[ _](?:error|invalid|parse)|failed to (?:parse|load|read) config|"
    r"missing required (?:env|config)|"
    r"required env(?:ironment)? var|syntax error"
)
_BAD_IMAGE = (
    r"manifest unknown|(?:image|tag|manifest)[^\n]{0,80}not found|ErrImagePull|ImagePullBackOff|InvalidImageName"
)
_IMAGE_AUTH = (
    r"(?:pull|registry|image)[^\n]{0,160}(?:unauthorized|authentication required|denied|401|403)|no basic auth"
)
_CRASHES = r"CrashLoop|crash.?loop|back-?off restarting|restarting repeatedly"
_STUCK = (
    r"rollout[^\n]{0,40}(?:stuck|stall|not progress)|RolloutStuck|ProgressDeadlineExceeded|"
    r"exceeded its progress deadline"
)
_BURNS = r"error.?budget|burn.?rate|ErrorBudgetBurn|error rate|SLO\b|5xx"
_GITOPS = (
    r"argocd\.argoproj\.io|argoproj|app\.kubernetes\.io/managed-by\W{1,8}(?:argocd|flux)|fluxcd|"
    r"toolkit\.fluxcd\.io|gitops|GitRepository"
)
_HELM = r"meta\.helm\.sh/release|managed-by\W{1,8}Helm|helm\.sh/chart|sh\.helm\.release|helm[ -]release"
_OOM = r"OOMKilled|OOM-?killed|out of memory|exit ?code\W{1,6}137|Killed process|memory cgroup out of memory"
_QUOTA = r"exceeded quota|ResourceQuota[^\n]{0,80}(?:100%|exhaust)"

REMEDIES: tuple[Remedy, ...] = (
    Remedy(
        ("RollbackDeployment", "RollBackDeployment", "UndoRollout"),
        (
            ("logs", _BAD_CONFIG, 0.8),
            ("events|states", _BAD_IMAGE, 1.0),
            ("alert|events", _STUCK, 1.0),
            ("states", _STUCK, 0.5),
            ("alert", _CRASHES, 0.5),
            ("events", _CRASHES, 0.3),
            ("alert", _BURNS, 0.5),
            (
                "states",
                r"(?:-bad|-broken|_bad)\b|deployment\.kubernetes\.io/revision\W{1,6}(?:[2-9]|[1-9][0-9])\b",
                0.4,
            ),
        ),
        (("any", _GITOPS), ("any", _HELM), ("logs|states", _OOM), ("events", _IMAGE_AUTH), ("any", _QUOTA)),
        family="rollback",
    ),
    Remedy(
        ("GitRevertCommit", "RevertCommit", "GitRevert"),
        (
            ("any", _GITOPS, 0.7),
            ("logs|events", _BAD_CONFIG, 0.6),
            ("alert", _CRASHES, 0.4),
            ("events|states", _BAD_IMAGE, 0.6),
            ("alert|events", _STUCK, 0.4),
        ),
        (("logs|states", _OOM),),
    ),
    Remedy(
        ("HelmRollback", "RollbackHelmRelease"),
        (
            ("any", _HELM, 0.7),
            ("logs|events", _BAD_CONFIG, 0.6),
            ("alert", _CRASHES, 0.4),
            ("events|states", _BAD_IMAGE, 0.6),
            ("alert|events", _STUCK, 0.4),
        ),
        (("any", _GITOPS), ("logs|states", _OOM)),
    ),
    Remedy(
        ("ProactiveRollback",),
        (
            ("alert", _BURNS, 0.6),
            ("states", r"(?:-bad|-broken|-canary)\b", 0.4),
            ("alert", r"predict|canary|early", 0.3),
        ),
        (("alert|events", _CRASHES), ("any", _GITOPS), ("any", _HELM), ("any", _QUOTA)),
        family="rollback",
    ),
    Remedy(
        ("PatchConfiguration", "FixConfiguration", "HotfixConfig"),
        (("logs", _BAD_CONFIG, 0.9), ("events", r"configmap[^\n]{0,80}not found|CreateContainerConfigError", 1.0)),
        (("any", _GITOPS), ("any", _HELM)),
    ),
    Remedy(
        ("IncreaseMemoryLimits", "RaiseMemoryLimit"),
        (("any", _OOM, 1.0), ("alert", r"OOM|memory (?:limit|usage)|MemoryHigh|memory exhaustion", 0.5)),
        (("any", _GITOPS),),
    ),
    Remedy(
        ("GracefulRestart", "RestartDeployment", "RollingRestart"),
        (
            ("alert", r"connection.{0,4}pool.{0,12}exhaust|too many connections|connections? (?:leak|saturat)", 1.0),
            (
                "logs",
                r"leaked? connection|connection leak|too many (?:clients|connections)|pool (?:is )?exhausted",
                0.6,
            ),
            (
                "alert",
                r"memory.?leak|deadlock|hung\b|not responding|predict[^\n]{0,40}memory|memory[^\n]{0,40}grow",
                1.0,
            ),
            ("logs", r"deadlock|memory leak", 0.6),
        ),
        (("states|logs", r"OOMKilled"),),
    ),
    Remedy(
        ("ScaleReplicas", "ScaleOut", "ScaleUp"),
        (
            (
                "alert",
                r"(?:high|heavy) (?:load|traffic)|overload|queue[^\n]{0,20}(?:backlog|depth|lag)|consumer lag|saturat",
                1.0,
            ),
            ("states", r"replicas\W{1,6}0\b", 0.3),
        ),
        (("alert", r"connection"), ("alert|events", _CRASHES)),
    ),
    Remedy(
        ("PatchHPA", "RaiseMaxReplicas"),
        (
            ("alert", r"HPA|HorizontalPodAutoscaler|autoscal|max(?:imum)?.?replicas", 1.0),
            ("events", r"max[^\n]{0,20}replicas", 0.5),
        ),
    ),
    Remedy(
        ("ProvisionNode", "AddNode", "ReplaceNode"),
        (
            ("events", r"Insufficient (?:cpu|memory|pods)|too many pods", 1.0),
            (
                "alert",
                r"node[^\n]{0,30}(?:not ready|notready|unreachable|down)|NodeNotReady|PodNotScheduled|"
                r"PodSchedulingFailed",
                0.5,
            ),
            ("alert", r"cluster[^\n]{0,30}capacity|nodes? (?:are )?full", 0.6),
        ),
        (("events", r"exceeded quota"),),
    ),
    Remedy(
        ("RemoveTaint", "UncordonNode"),
        (
            ("events|states", r"untolerated taint|had taint|NoSchedule[^\n]{0,40}taint", 1.0),
            ("alert", r"\btaint|Pending|NotScheduled", 0.3),
        ),
        (("events", r"Insufficient (?:cpu|memory)"),),
    ),
    Remedy(
        ("RelaxPDB", "RelaxPodDisruptionBudget"),
        (
            ("alert", r"PodDisruptionBudget|\bPDB\b|disruptions? allowed|zero (?:allowed|voluntary) disruptions", 1.0),
            ("events", r"Cannot evict pod|violate the pod's disruption budget", 1.0),
            ("states", r"disruptionsAllowed\W{1,6}0\b", 0.5),
        ),
    ),
    Remedy(
        ("FixSecurityContext", "FixSCC"),
        (
            ("any", r"unable to validate against any security context|violates PodSecurity|SCCViolation", 1.0),
            ("alert|events", r"security context constraint|\bSCC\b", 1.0),
            ("states|events", r"forbidden[^\n]{0,200}(?:runAsUser|privileged|hostPath|capabilities)", 0.8),
        ),
    ),
    Remedy(
        ("RestoreRoleBinding", "FixRBAC"),
        (
            ("alert", r"RBAC|role.?binding|permission denied|forbidden", 1.0),
            ("logs", r"(?i)\bforbidden\b|cannot (?:get|list|watch)", 0.7),
            ("events", r"is forbidden: User[^\n]{0,120}cannot", 0.7),
        ),
        (("any", r"exceeded quota|AuthorizationPolicy|security context constraint"), ("alert", r"istio|mesh")),
    ),
    Remedy(
        ("FixAuthorizationPolicy",),
        (
            ("alert", r"istio|mesh|AuthorizationPolicy|deny.?rate", 0.6),
            ("states", r"AuthorizationPolicy", 0.5),
            ("logs|events", r"RBAC: access denied|rbac_access_denied", 1.0),
        ),
    ),
    Remedy(
        ("FixNetworkPolicy",),
        (
            ("alert|events", r"Network.?Policy|traffic (?:is )?blocked", 1.0),
            ("states", r"NetworkPolicy", 0.6),
            ("logs", r"(?:connection|dial|i/o|connect)[^\n]{0,60}time(?:d )?-?out", 0.5),
        ),
        (("alert", r"istio"),),
    ),
    Remedy(
        ("FixRouteTarget", "FixRoute"),
        (
            (
                "alert",
                r"\broute\b[^\n]{0,80}(?:backend|unavailable|no healthy|503)|RouteBackend|ingress[^\n]{0,60}backend",
                1.0,
            ),
            ("states", r"kind\W{1,8}Route\b", 0.3),
        ),
    ),
    Remedy(
        ("FixCertificate", "RenewCertificate"),
        (
            ("any", r"certificate[^\n]{0,60}(?:expired|expir|not ready|invalid|failed)|x509:|CertificateRequest", 1.0),
            ("alert", r"certificate|\bcert-manager\b|\bTLS\b", 0.6),
        ),
        (("alert", _CRASHES),),
    ),
    Remedy(
        ("RefreshImagePullSecret", "RotatePullSecret"),
        (
            ("events|logs|states", _IMAGE_AUTH, 1.2),
            ("alert", r"image.?pull[^\n]{0,60}(?:secret|auth)|pull secret", 1.0),
            ("alert|events", r"ImagePull", 0.3),
        ),
    ),
    Remedy(
        ("FixStatefulSetPVC",),
        (
            ("events", r"ProvisioningFailed|storageclass[^\n]{0,80}not found", 0.7),
            ("alert", r"StatefulSet", 0.6),
            (
                "states|events",
                r"PersistentVolumeClaim[^\n]{0,80}(?:Pending|not found|lost)|unbound immediate PersistentVolumeClaims",
                0.5,
            ),
        ),
    ),
    Remedy(
        ("ExpandPersistentVolumeClaim", "ExpandPVC", "ResizePVC"),
        (
            (
                "alert",
                r"Persistent.?Volume[^\n]{0,80}(?:fill|full|space|usage)|\bPVC\b[^\n]{0,60}(?:fill|full|space|"
                r"usage)|volume[^\n]{0,40}(?:filling|almost full)",
                1.0,
            ),
            ("logs", r"no space left on device", 0.5),
        ),
        (("states", r"emptyDir"), ("alert", r"orphan|unused")),
    ),
    Remedy(
        ("MigrateEmptyDirToPVC",),
        (
            ("alert", r"disk.?pressure|ephemeral.?storage|exhaust disk", 0.6),
            ("states|events", r"emptyDir|ephemeral[- ]storage", 0.6),
            ("events", r"EvictionThresholdMet|low on resource: ephemeral-storage", 0.5),
        ),
    ),
    Remedy(
        ("CleanupPVC", "DeleteOrphanedPVC"),
        (
            ("any", r"(?:orphan|unused|stale|dangling|released)[^\n]{0,30}(?:PVC|PersistentVolume|volume claim)", 1.0),
            ("alert", r"\bdisk|\bstorage|\bquota|\bspace\b", 0.6),
        ),
        enough=1.6,  # it deletes data: a claim that nobody uses is no reason by itself
    ),
    Remedy(
        ("DefragEtcd", "DefragmentEtcd"),
        (
            (
                "any",
                r"etcdserver: mvcc: database space exceeded|defrag|etcd[^\n]{0,60}(?:fragment|quota|"
                r"database (?:size|space))",
                1.0,
            ),
            ("alert", r"etcd", 0.4),
        ),
        (("alert", r"operator|CSV"),),
    ),
    Remedy(
        ("FixBuildSource",),
        (
            ("alert", r"build[^\n]{0,40}fail|BuildFail|BuildConfig", 0.7),
            ("logs", r"(?:clone|fetch|resolve)[^\n]{0,60}(?:repository|failed|ref)|remote ref|does not exist", 0.6),
        ),
    ),
    Remedy(
        ("RestoreOperatorCSV",),
        (
            ("alert|events", r"ClusterServiceVersion|\bCSV\b|OperatorCSV|\bOLM\b", 1.0),
            ("states", r"kind\W{1,8}Subscription|InstallPlan", 0.3),
        ),
    ),
)
"""In no order: the signs decide."""
