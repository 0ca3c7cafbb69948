"""The issue as a person sees it, so that the demo's links lead somewhere."""

from html import escape

from starlette.responses import HTMLResponse

from sreops.sandbox.gitlab import markdown
from sreops.sandbox.gitlab.records import Issue, Note, stamp

_STYLE = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:50rem;margin:2rem auto;padding:0 1rem}
article{border:1px solid #8884;border-radius:.5rem;padding:.2rem 1rem;margin:1rem 0}
.system{border:0;opacity:.75;padding:0 1rem;margin:.3rem 0}
.chip{border:1px solid #8886;border-radius:1rem;padding:.1rem .6rem;margin-right:.3rem;font-size:.85rem}
pre{overflow:auto;padding:.6rem;background:#8881}header p{margin:.3rem 0}h1{overflow-wrap:anywhere}
"""


def issue_page(issue: Issue, project: str) -> HTMLResponse:
    """Return the page of one issue; all of its text is untrusted and shown, never obeyed."""
    chips = [issue.state, issue.issue_type, *issue.labels]
    if issue.is_incident:
        chips[2:2] = [f"severity {issue.severity.lower()}", f"status {(issue.escalation_status or '').lower()}"]
    assigned = ", ".join(f"@{user.username}" for user in issue.assignees) or "nobody"
    body = f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{escape(issue.title)} · #{issue.iid}</title><style>{_STYLE}</style>
<header><p>{escape(project)} · #{issue.iid} · opened {stamp(issue.created_at)}</p>
<h1>{escape(issue.title)}</h1>
<p>{"".join(f'<span class="chip">{escape(chip)}</span>' for chip in chips)}</p>
<p>Assigned to {escape(assigned)}</p></header>
<main><article>{markdown.render(issue.description or "")}</article>
{"".join(_note(note) for note in issue.notes)}</main></html>"""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return HTMLResponse(body, headers={"content-security-policy": policy})


def _note(note: Note) -> str:
    head = f"<small>{escape(note.author.name)} · {stamp(note.created_at)}</small>"
    if note.system:
        return f'<article class="system">{head} {escape(note.body)}</article>'
    return f"<article>{head}{markdown.render(note.body)}</article>"
