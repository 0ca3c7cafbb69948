"""GitLab: incidents as issues that people read."""

from sreops.adapters.gitlab.issues import GitLabIssues

__all__ = ["GitLabIssues"]
