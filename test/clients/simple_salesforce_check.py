"""Runs simple-salesforce against an org. Reads JSON from standard input, writes one JSON line for each case.

The library knows https alone, and the org speaks http on this machine: an adapter leads every address to the org.
"""
import json
import sys
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
)

world = json.load(sys.stdin)
SOQL = "SELECT AppName, DeleteToken FROM OauthToken"


class ToOrg(HTTPAdapter):
    """Sends each request to the org, whatever host it names."""

    def send(self, request, **kwargs):
        asked = urlsplit(request.url)
        org = urlsplit(world["url"])
        request.url = asked._replace(scheme=org.scheme, netloc=org.netloc).geturl()
        return super().send(request, **kwargs)


def session():
    made = requests.Session()
    made.trust_env = False
    made.mount("https://", ToOrg())
    return made


def by_token(token):
    return Salesforce(session_id=token, instance="org.my.salesforce.com", session=session())


def soap_login():
    names = ("username", "password", "security_token")
    client = Salesforce(session=session(), **{name: world[name] for name in names})
    assert client.query("SELECT Id FROM Organization")["totalSize"] == 1
    return client.sf_instance


def wrong_password():
    try:
        Salesforce(username=world["username"], password="wrong", security_token="", session=session())
    except SalesforceAuthenticationFailed as refused:
        return str(refused)[:80]
    raise AssertionError("a wrong password logged in")


def client_credentials():
    client = Salesforce(
        consumer_key=world["consumer_key"],
        consumer_secret=world["consumer_secret"],
        domain="org.my",
        session=session(),
    )
    return f"COUNT() is {client.query('SELECT COUNT() FROM OauthToken')['totalSize']}"


def first_page():
    page = by_token(world["access_token"]).query(SOQL)
    assert (page["totalSize"], len(page["records"]), page["done"]) == (world["rows"], 500, False), page
    return "500 rows, done is false"


def all_pages(**more):
    answer = by_token(world["access_token"]).query_all(SOQL, **more)
    handles = {record["DeleteToken"] for record in answer["records"]}
    assert len(answer["records"]) == len(handles) == world["rows"], len(handles)
    return f"{len(handles)} rows, none twice"


def limits():
    client = by_token(world["access_token"])
    allowed = client.limits()["DailyApiRequests"]
    assert client.api_usage["api-usage"].total == allowed["Max"], client.api_usage
    return f"{allowed['Remaining']} of {allowed['Max']} requests left"


def revoke():
    client = by_token(world["access_token"])
    client.oauth2("revoke", {"token": world["delete_token"]}, method="POST")
    where = f"{SOQL} WHERE DeleteToken = '{world['delete_token']}'"
    assert client.query(where)["totalSize"] == 0
    return "its row is gone"


def revoke_again():
    client = by_token(world["access_token"])
    try:
        client.oauth2("revoke", {"token": world["delete_token"]}, method="POST")
    except SalesforceMalformedRequest as refused:
        assert "invalid_token" in str(refused.content), refused.content
        return "400, invalid_token"
    raise AssertionError("a second revoke is no error")


def dead_session():
    client = by_token(world["access_token"])
    client.oauth2("revoke", {"token": world["access_token"]}, method="POST")
    try:
        client.query(SOQL)
    except SalesforceExpiredSession:
        return "SalesforceExpiredSession"
    raise AssertionError("a revoked access token works")


CASES = (
    ("login by password, over SOAP", soap_login),
    ("login, a wrong password", wrong_password),
    ("login by client credentials", client_credentials),
    ("query", first_page),
    ("query_all", all_pages),
    ("query_all, include_deleted", lambda: all_pages(include_deleted=True)),
    ("limits", limits),
    ("revoke a delete token", revoke),
    ("revoke it again", revoke_again),
    ("revoke its own access token", dead_session),
)

for title, case in CASES:
    try:
        row = {"title": title, "seen": case(), "ok": True}
    except Exception as error:  # noqa: BLE001: every failure is a row of the table
        row = {"title": title, "seen": f"{type(error).__name__}: {error}"[:200], "ok": False}
    print(json.dumps(row), flush=True)
