"""Runs requests-oauthlib against an authority. Reads JSON from standard input, writes one JSON line for each case.

The sessions of Debian's version know no PKCE: oauthlib makes the verifier and its challenge.
"""
import json
import sys

import requests
from oauthlib.oauth2 import InvalidGrantError, WebApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

world = json.load(sys.stdin)
direct = requests.Session()
direct.trust_env = False
metadata = direct.get(f"{world['issuer']}/.well-known/oauth-authorization-server").json()


class App:
    """A registered client, and how it proves itself: to the token endpoint, and to the revocation endpoint."""

    def __init__(self, client):
        self.id, self.secret = client["id"], client["secret"]
        self.basic = HTTPBasicAuth(self.id, self.secret) if client["auth"] == "client_secret_basic" else None
        self.proof = {} if self.basic else {"client_id": self.id}
        if client["auth"] == "client_secret_post":
            self.proof["client_secret"] = self.secret

    def log_in(self, another_verifier=None):
        """Goes where a browser would, and changes the code into tokens (RFC 6749 section 4.1, RFC 7636)."""
        client = WebApplicationClient(self.id)
        session = OAuth2Session(client=client, redirect_uri=world["callback"], scope=["read"])
        session.trust_env = False
        verifier = client.create_code_verifier(64)
        url, _ = session.authorization_url(
            metadata["authorization_endpoint"],
            code_challenge=client.create_code_challenge(verifier, "S256"),
            code_challenge_method="S256",
            dev_user="ann",
        )
        session.fetch_token(
            metadata["token_endpoint"],
            authorization_response=direct.get(url, allow_redirects=False).headers["location"],
            code_verifier=another_verifier or verifier,
            auth=self.basic,
            include_client_id=self.basic is None,
            client_secret=self.proof.get("client_secret"),
        )
        return session

    def refresh(self, session, refresh_token=None):
        return session.refresh_token(
            metadata["token_endpoint"], refresh_token=refresh_token, auth=self.basic, **self.proof
        )

    def revoke(self, kind, token):
        url, headers, body = WebApplicationClient(self.id).prepare_token_revocation_request(
            metadata["revocation_endpoint"], token[kind], kind, **self.proof
        )
        answer = direct.post(url, data=body, headers=headers, auth=self.basic)
        assert (answer.status_code, answer.text) == (200, ""), answer.text


def call(token):
    answer = direct.get(world["api"], headers={"Authorization": f"Bearer {token['access_token']}"})
    return f"{answer.status_code} {answer.text}".strip()


def refused(work):
    try:
        work()
    except InvalidGrantError:
        return "invalid_grant"
    raise AssertionError("it was not refused")


def code_flow(app):
    session = app.log_in()
    seen = session.get(world["api"])
    assert (seen.status_code, seen.text) == (200, "hello ann"), seen.text
    return seen.text


def another_verifier(app):
    return refused(lambda: app.log_in(another_verifier="v" * 43))


def refresh(app):
    session = app.log_in()
    before = dict(session.token)
    after = app.refresh(session)
    assert before["refresh_token"] != after["refresh_token"]
    assert session.get(world["api"]).text == "hello ann"
    return "hello ann, by a new token"


def revoke_access(app):
    session = app.log_in()
    before = dict(session.token)
    app.revoke("access_token", before)
    seen = [call(before)]
    app.refresh(session)
    seen.append(session.get(world["api"]).text)
    assert seen == ["401", "hello ann"], seen
    return "401; refreshed: hello ann"


def revoke_refresh(app):
    session = app.log_in()
    first = dict(session.token)
    second = dict(app.refresh(session))
    app.revoke("refresh_token", second)
    seen = [call(first), call(second), str(session.get(world["api"]).status_code)]
    seen += [refused(lambda old=old: app.refresh(session, old["refresh_token"])) for old in (first, second)]
    assert seen == ["401"] * 3 + ["invalid_grant"] * 2, seen
    return "401 for both; refreshes: invalid_grant"


CASES = (
    ("code flow with PKCE, a call", code_flow),
    ("another verifier", another_verifier),
    ("refresh, a call", refresh),
    ("revoke the access token", revoke_access),
    ("revoke the refresh token", revoke_refresh),
)

for client in world["clients"]:
    for title, case in CASES:
        row = {"title": f"{client['auth']}: {title}"}
        try:
            row |= {"seen": case(App(client)), "ok": True}
        except Exception as error:  # noqa: BLE001: every failure is a row of the table
            row |= {"seen": f"{type(error).__name__}: {error}"[:200], "ok": False}
        print(json.dumps(row), flush=True)
