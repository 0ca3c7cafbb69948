"""oidc-provider, run by node, and a browser's way through its forms."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from servers.installed import path_of
from servers.ports import free_port
from servers.process import Server

CLIENT_ID = "sreops"
CLIENT_SECRET = "a secret: with + signs % and spaces"


class OidcProvider(Server):
    """``groups`` are those of each account; ``in_id_token`` puts them into the ID token, else only into userinfo."""

    name = "oidc-provider"
    start_timeout_s = 60.0

    def __init__(
        self,
        redirect_uris: Sequence[str],
        groups: Mapping[str, Sequence[str]],
        *,
        in_id_token: bool = False,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__()
        self.port = free_port()
        self.issuer = f"http://{host}:{self.port}"
        self._redirect_uris = list(redirect_uris)
        self._told = {
            "issuer": self.issuer,
            "port": self.port,
            "client": {
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "redirect_uris": self._redirect_uris,
            },
            "groups": {account: list(of_account) for account, of_account in groups.items()},
            "inIdToken": in_id_token,
        }

    def sends_back_to(self, redirect_uri: str) -> None:
        """Register a redirect URI; before the start."""
        self._redirect_uris.append(redirect_uri)

    def command(self) -> list[str]:
        node = shutil.which("node") or "node"
        script = Path(__file__).with_suffix(".mjs")
        return [node, str(script), str(path_of("oidc-provider")), json.dumps(self._told)]

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.issuer}/.well-known/openid-configuration", timeout=2).status_code == 200
        except httpx.TransportError:
            return False


def through_the_forms(browser: httpx.Client, url: str, account: str) -> httpx.Response:
    """Follow a sign-in from our redirect to the answer of our own callback, filling in the provider's forms."""
    answer = browser.get(url, follow_redirects=True)
    for prompt in ({"prompt": "login", "login": account, "password": "any"}, {"prompt": "consent"}):
        form = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
        if form is None or "/interaction/" not in form[1]:
            break
        answer = browser.post(str(answer.url.join(form[1])), data=prompt, follow_redirects=True)
    return answer
