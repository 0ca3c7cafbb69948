"""What each action of a runbook takes as ``params``."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from sreops.domain.runbooks.fields import WaitSeconds, as_json, fault, number_field, text_field
from sreops.domain.runbooks.runbook import Comparison, PromQL, StepAction
from sreops.domain.runbooks.template import body_faults, template_faults, url_faults

MAX_REPLICAS = 1000
MAX_WORDS = 64
MAX_BODY_CHARS = 64 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


def _without(faults_of: Callable[[str], Sequence[str]]) -> AfterValidator:
    def read(value: str) -> str:
        if faults := faults_of(value):
            raise fault("; ".join(faults))
        return value

    return AfterValidator(read)


def _body(value: object) -> object:
    if not isinstance(value, dict):
        raise fault("must be a mapping: it is sent as a JSON object")
    read = as_json(value)
    if faults := body_faults(read):
        raise fault("; ".join(faults))
    if len(json.dumps(read)) > MAX_BODY_CHARS:
        raise fault(f"is longer than {MAX_BODY_CHARS} characters as JSON")
    return read


Body = Annotated[dict[str, Any], BeforeValidator(_body)]


def _variables(value: object) -> object:
    if not isinstance(value, dict):
        raise fault("must be a mapping of names and texts")
    read = {name: str(text) if isinstance(text, str) else text for name, text in value.items()}
    for name, text in read.items():
        if not _VARIABLE.fullmatch(str(name)):
            raise fault(f"{str(name)[:80]!r} is no name of a variable: letters, digits and '_'")
        if not isinstance(text, str):
            raise fault(f"{name}: must be text")
    if faults := body_faults(read):
        raise fault("; ".join(faults))
    return read


def _plain(value: str) -> str:
    if "{{" in value:
        raise fault("takes no template: only you say where")
    return value


Variables = Annotated[dict[str, str], BeforeValidator(_variables)]
Plain = Annotated[str, AfterValidator(_plain), text_field(200)]
WebhookName = Annotated[str, text_field(64)]


def _some_difference(value: int) -> int:
    if value == 0:
        raise fault("must not be 0")
    return value


Template = Annotated[str, _without(template_faults), text_field()]
Url = Annotated[str, _without(url_faults), text_field()]
Replicas = Annotated[
    int,
    number_field(1, MAX_REPLICAS, whole=True),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_REPLICAS}),
]
Difference = Annotated[
    int,
    AfterValidator(_some_difference),
    number_field(-MAX_REPLICAS, MAX_REPLICAS, whole=True),
    WithJsonSchema({"type": "integer", "minimum": -MAX_REPLICAS, "maximum": MAX_REPLICAS}),
]
Status = Annotated[
    int, number_field(100, 599, whole=True), WithJsonSchema({"type": "integer", "minimum": 100, "maximum": 599})
]


class Params(BaseModel):
    """The fields that one action takes; what has no default is needed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OnTarget(Params):
    """An action on a container or service; without ``container`` or ``service`` it is the alert's own."""

    container: Template | None = None
    service: Template | None = None

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if self.container is not None and self.service is not None:
            raise fault("has both `container` and `service`: name the target once")
        return self


def _fixed(word: str) -> str:
    if "{{" in word or "\x00" in word:
        raise fault("is a fixed word of this file: nothing is filled in here" if "{{" in word else "holds a NUL")
    return word


def _some_words(value: object) -> object:
    if isinstance(value, list | tuple) and not 1 <= len(value) <= MAX_WORDS:
        raise fault(f"has {len(value)} words, and 1 to {MAX_WORDS} may be")
    if isinstance(value, str):
        raise fault("must be a list of words, such as [logrotate, -f, /etc/logrotate.conf]: no shell takes it apart")
    return value


Word = Annotated[str, AfterValidator(_fixed), text_field(1000, as_written=True)]
Words = Annotated[
    tuple[Word, ...],
    BeforeValidator(_some_words),
    WithJsonSchema({"type": "array", "items": {"type": ["string", "number"]}, "minItems": 1, "maxItems": MAX_WORDS}),
]


class Exec(OnTarget):
    """Runs a command in the container: the program and its arguments, as they stand here."""

    command: Words


class Scale(OnTarget):
    """Sets the number of replicas of a service, or changes it ``by`` so many within ``min`` and ``max``."""

    by: Difference | None = None
    replicas: Replicas | None = Field(default=None, validate_default=True)
    min: Replicas | None = None
    max: Replicas | None = None

    @field_validator("replicas")
    @classmethod
    def _some_way(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None and info.data.get("by", 0) is None:
            raise fault("is missing: scale_container needs it, or `by`")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.replicas is not None and self.by is not None:
            raise fault("has both `replicas` (the number to set) and `by` (how many more or fewer)")
        if self.by is None and (self.min is not None or self.max is not None):
            raise fault("takes `min` and `max` with `by` only")
        if self.by is not None and self.by > 0 and self.max is None:
            raise fault("needs `max` with `by`: each alert would add more")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise fault(f"has a min of {self.min} above its max of {self.max}")
        return self


class Wait(Params):
    """Waits."""

    seconds: WaitSeconds


class QueryPrometheus(Params):
    """Asks Prometheus; without ``condition`` any data will do."""

    promql: PromQL
    condition: Comparison | None = None


class HttpCheck(Params):
    """Asks an address once; without ``status`` any 2xx will do."""

    url: Url
    status: Status | None = None


class RollbackDeployment(Params):
    """Runs the job of the last deployment again that was successful before the present one."""

    project: Plain
    environment: Plain


class PlayJob(Params):
    """Plays the manual job of this name in the newest pipeline of the ref that has it waiting."""

    project: Plain
    ref: Plain
    job: Plain


class RunPipeline(Params):
    """Starts a pipeline."""

    project: Plain
    ref: Plain
    variables: Variables = {}


class CallWebhook(Params):
    """Calls one of SREOPS_ACTIONS__WEBHOOKS by its name, with ``body`` as JSON."""

    name: WebhookName
    body: Body | None = None


class Notify(Params):
    """Leaves a notice on the issue."""

    message: Template


PARAMS: Final[Mapping[StepAction, type[Params]]] = {
    StepAction.restart_container: OnTarget,
    StepAction.start_container: OnTarget,
    StepAction.stop_container: OnTarget,
    StepAction.scale_container: Scale,
    StepAction.rollback_service: OnTarget,
    StepAction.rollback_deployment: RollbackDeployment,
    StepAction.play_job: PlayJob,
    StepAction.run_pipeline: RunPipeline,
    StepAction.exec_in_container: Exec,
    StepAction.call_webhook: CallWebhook,
    StepAction.check_health: OnTarget,
    StepAction.wait: Wait,
    StepAction.query_prometheus: QueryPrometheus,
    StepAction.http_check: HttpCheck,
    StepAction.notify: Notify,
}
