"""The way back from a deployment: to what is older, differs from what runs, and was never rolled away from. Pure."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from sreops.domain.evidence.deployments import Deployment

BUSY = frozenset({"created", "pending", "preparing", "waiting_for_resource", "running", "canceling"})


class WayBack(BaseModel):
    """From the deployment that runs to the one whose job is run again; ``to`` None: a person decides, and why."""

    model_config = ConfigDict(frozen=True)
    current: Deployment | None = None
    to: Deployment | None = None
    why: str = ""

    @property
    def told(self) -> str:
        """The way in words."""
        if self.to is None or self.current is None:
            return f"none that sreops would take: {self.why}"
        return f"job {self.to.job_name} of {self.to.sha[:8]} again, in {self.to.environment} of {self.to.project}"


def way_back(history: Sequence[Deployment]) -> WayBack:
    """Find the way back in an environment's deployments (any order, all that are known).

    A rollback is a new deployment of an old commit, so the row below it is the version that was left: what lies
    between the two deployments of one commit was rolled away from, and is never gone to again.
    """
    ordered = sorted(history, key=lambda one: one.id)
    if busy := [one for one in ordered if one.status in BUSY]:
        return WayBack(why=f"deployment {busy[-1].id} is under way")
    done = [one for one in ordered if one.well]
    if not done:
        return WayBack(why="no successful deployment is known")
    current = done[-1]
    left: set[str] = set()
    for at, one in enumerate(done):
        earlier = [place for place, other in enumerate(done[:at]) if other.sha == one.sha]
        if earlier:
            left |= {other.sha for other in done[earlier[-1] + 1 : at]} - {one.sha}
    first = {one.sha: one.id for one in reversed(done)}
    for one in reversed(done[:-1]):
        if one.sha in left or first[one.sha] >= first[current.sha]:
            continue
        if one.job_id is None:
            continue  # reported by the API: there is no job to run again
        return WayBack(current=current, to=one)
    why = "no older version is known that was deployed by a job and never rolled away from"
    return WayBack(current=current, why=why)
