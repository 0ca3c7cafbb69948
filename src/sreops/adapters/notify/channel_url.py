"""A channel's URL: which service it is, whether it may be used, and what it is called where people see it."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from pydantic import SecretStr

from sreops.errors import SettingsInvalid
from sreops.ports import Channel
from sreops.settings import NotifyChannel

_SERVICES = {
    "slack": "slack",
    "workflows": "teams",
    "workflow": "teams",
    "ntfy": "ntfy",
    "ntfys": "ntfy",
    "mailto": "mail",
    "mailtos": "mail",
    "json": "webhook",
    "jsons": "webhook",
    "form": "webhook",
    "forms": "webhook",
    "xml": "webhook",
    "xmls": "webhook",
    "pagerduty": "pagerduty",
    "opsgenie": "opsgenie",
    "mmost": "mattermost",
    "mmosts": "mattermost",
    "tgram": "telegram",
}
_NATIVE = (
    (re.compile(r"https://hooks\.slack(-gov)?\.com/", re.I), "slack"),
    (re.compile(r"https://[^/]+\.(logic\.azure\.com|powerplatform\.com)(:\d+)?/", re.I), "teams"),
    (re.compile(r"https://ntfy\.sh/", re.I), "ntfy"),
)
_WITH_HOST = frozenset({"mail", "webhook"})
"""Services whose URL has its host where URLs have it; a Slack URL has a token there."""
_REFUSED = {"msteams": "Microsoft ended these connectors: use workflows:// or the URL of the workflow"}
_OFF = frozenset({"no", "false", "0", "off", "never"})
_ON = frozenset({"yes", "true", "1", "on", "always"})


@dataclass(frozen=True)
class ChannelUrl:
    """A channel with its URL, which is a secret."""

    channel: Channel
    url: SecretStr

    def host_port(self) -> tuple[str, int] | None:
        """Where it connects, as far as its URL tells."""
        parts = urlsplit(self.url.get_secret_value())
        if self.channel.service == "ntfy" and parts.path.strip("/"):
            return (parts.hostname or "", parts.port or (443 if parts.scheme in ("ntfys", "https") else 80))
        if self.channel.service not in _WITH_HOST or not parts.hostname:
            return None
        secure = parts.scheme.endswith("s")
        if self.channel.service == "webhook":
            return parts.hostname, parts.port or (443 if secure else 80)
        smtp = dict(parse_qsl(parts.query)).get("smtp")
        if parts.port is None and smtp is None:
            return None  # Apprise knows the servers of many providers
        return smtp or parts.hostname, parts.port or (587 if secure else 25)


def channels_of(given: Sequence[NotifyChannel]) -> list[ChannelUrl]:
    """Read the settings' channels; raises SettingsInvalid with every fault. A mail to several becomes several.

    Of a mail that one recipient's server refuses Apprise says that it failed, though the others have it: sent again,
    they would be told twice.
    """
    found: list[ChannelUrl] = []
    problems: list[str] = []
    seen: set[str] = set()
    for number, entry in enumerate(given, 1):
        text = entry.url.get_secret_value()
        if problem := _problem(text):
            shown = f"{text.partition('://')[0][:20]}://…" if "://" in text else "without a scheme"
            problems.append(f"SREOPS_NOTIFY__URLS: its URL {number} ({shown}) {problem}")
            continue
        for url in _one_recipient_each(text):
            name = hashlib.sha256(url.encode()).hexdigest()[:16]
            if name in seen:
                continue
            seen.add(name)
            channel = Channel(name, _label(url, len(found) + 1), service_of(url), entry.rule)
            found.append(ChannelUrl(channel, SecretStr(url)))
    if problems:
        raise SettingsInvalid(problems)
    return found


def service_of(url: str) -> str:
    """Return the service by the URL's scheme, or by its host where it is a service's own address."""
    for pattern, service in _NATIVE:
        if pattern.match(url):
            return service
    return _SERVICES.get(url.partition(":")[0].lower(), "other")


def with_parameters(url: str, parameters: dict[str, str]) -> str:
    """Return the URL with parameters that it does not have yet."""
    has = {name for name, _ in _query(url)}
    added = {name: value for name, value in parameters.items() if name not in has}
    if not added:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(added, quote_via=quote)}"


def _problem(url: str) -> str | None:
    scheme, colon, rest = url.partition("://")
    if not colon or not rest or not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9]{1,30}", scheme):
        return "is no Apprise URL, such as ntfys://ntfy.sh/TOPIC; see https://github.com/caronc/apprise/wiki"
    if scheme.lower() in _REFUSED:
        return f"can't be used: {_REFUSED[scheme.lower()]}"
    for name, value in _query(url):
        if name.lower() == "verify" and value.lower() in _OFF:
            return "turns off the check of certificates (verify=no): use SREOPS_CA_FILE for a private CA"
        if name.lower() == "redirect" and value.lower() in _ON:
            return "follows redirects (redirect=yes): Apprise then calls a lost message sent; give the final address"
    return None


def _query(url: str) -> list[tuple[str, str]]:
    return parse_qsl(url.partition("?")[2], keep_blank_values=True)


def _one_recipient_each(url: str) -> Iterator[str]:
    base, _, query = url.partition("?")
    if service_of(url) != "mail":
        yield url
        return
    pairs = parse_qsl(query, keep_blank_values=True)
    scheme, _, rest = base.partition("://")
    place, *paths = rest.split("/")
    in_path = [unquote(path) for path in paths if path]
    named = [address for name, value in pairs if name == "to" for address in re.split(r"[,\s]+", value) if address]
    if len(in_path) + len(named) < 2:
        yield url
        return
    others = [(name, value) for name, value in pairs if name != "to"]
    for recipient in dict.fromkeys((*in_path, *named)):
        yield f"{scheme}://{place}?{urlencode([*others, ('to', recipient)], quote_via=quote)}"


def _label(url: str, number: int) -> str:
    service = service_of(url)
    shown = url.partition(":")[0].lower() if service == "other" else service
    if service in _WITH_HOST:
        return f"{shown} {number} ({urlsplit(url).hostname or 'no host'})"
    return f"{shown} {number}"
