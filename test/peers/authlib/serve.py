"""Authlib's authorization server on Flask and SQLAlchemy, put together as its documentation does it.

Starts on a free loopback port, prints one line of JSON, and serves until it is killed.
"""

import json
import os
import time
from wsgiref.simple_server import WSGIRequestHandler, make_server

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import authlib  # noqa: E402
import sqlalchemy  # noqa: E402
from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector  # noqa: E402
from authlib.integrations.sqla_oauth2 import (  # noqa: E402
    OAuth2AuthorizationCodeMixin,
    OAuth2ClientMixin,
    OAuth2TokenMixin,
    create_bearer_token_validator,
    create_query_client_func,
    create_revocation_endpoint,
    create_save_token_func,
)
from authlib.oauth2.rfc6749 import grants  # noqa: E402
from authlib.oauth2.rfc7636 import CodeChallenge  # noqa: E402
from authlib.oauth2.rfc7662 import IntrospectionEndpoint  # noqa: E402
from flask import Flask, jsonify, request  # noqa: E402
from sqlalchemy import Column, Integer, String, create_engine  # noqa: E402
from sqlalchemy.orm import declarative_base, relationship, scoped_session, sessionmaker  # noqa: E402
from sqlalchemy.pool import StaticPool  # noqa: E402

METHODS = ["client_secret_basic", "client_secret_post", "none"]
REDIRECT = "https://client.example.com/cb"
SECRET = "a-secret-of-the-test"
CLIENTS = {
    "c1": "client_secret_basic",
    "c2": "client_secret_basic",
    "cp": "client_secret_post",
    "p1": "none",
    "p2": "none",
}

engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
session = scoped_session(sessionmaker(bind=engine))
Base = declarative_base()


class User(Base):
    __tablename__ = "user"
    id = Column(Integer, primary_key=True)
    name = Column(String(40), unique=True)

    def get_user_id(self):
        return self.id


class Owned:
    user_id = Column(Integer)

    @property
    def user(self):
        return session.get(User, self.user_id) if self.user_id else None


class Client(Base, OAuth2ClientMixin, Owned):
    __tablename__ = "client"
    id = Column(Integer, primary_key=True)


class Code(Base, OAuth2AuthorizationCodeMixin, Owned):
    __tablename__ = "code"
    id = Column(Integer, primary_key=True)


class Token(Base, OAuth2TokenMixin, Owned):
    __tablename__ = "token"
    id = Column(Integer, primary_key=True)


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def save_authorization_code(self, code, request):
        session.add(
            Code(
                code=code,
                client_id=request.client.client_id,
                redirect_uri=request.redirect_uri,
                scope=request.scope,
                user_id=request.user.id,
                code_challenge=request.data.get("code_challenge"),
                code_challenge_method=request.data.get("code_challenge_method"),
            )
        )
        session.commit()

    def query_authorization_code(self, code, client):
        item = session.query(Code).filter_by(code=code, client_id=client.client_id).first()
        return item if item and not item.is_expired() else None

    def delete_authorization_code(self, authorization_code):
        session.delete(authorization_code)
        session.commit()

    def authenticate_user(self, authorization_code):
        return authorization_code.user


class RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        token = session.query(Token).filter_by(refresh_token=refresh_token).first()
        return token if token and not token.refresh_token_revoked_at else None

    def authenticate_user(self, credential):
        return credential.user

    def revoke_old_credential(self, credential):
        credential.access_token_revoked_at = credential.refresh_token_revoked_at = int(time.time())
        session.add(credential)
        session.commit()


class Introspection(IntrospectionEndpoint):
    def query_token(self, token_string, token_type_hint):
        # One row holds both tokens, and the endpoint calls a row with either revoked inactive: of a
        # refresh token it would say more than it knows.
        return session.query(Token).filter_by(access_token=token_string).first()

    def check_permission(self, token, client, request):
        return token.client_id == client.client_id

    def introspect_token(self, token):
        return {
            "active": True,
            "client_id": token.client_id,
            "token_type": token.token_type,
            "sub": str(token.user_id),
            "scope": token.get_scope(),
            "exp": token.issued_at + token.expires_in,
            "iat": token.issued_at,
        }


app = Flask(__name__)
app.secret_key = "only-for-a-loopback-test"
app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
server = AuthorizationServer(
    app,
    query_client=create_query_client_func(session, Client),
    save_token=create_save_token_func(session, Token),
)
server.register_grant(CodeGrant, [CodeChallenge(required=True)])
server.register_grant(RefreshGrant)
server.register_grant(grants.ClientCredentialsGrant)
Revocation = create_revocation_endpoint(session, Token)
Revocation.CLIENT_AUTH_METHODS = METHODS
server.register_endpoint(Revocation)
server.register_endpoint(Introspection)
protect = ResourceProtector()
protect.register_token_validator(create_bearer_token_validator(session, Token)())


@app.teardown_appcontext
def end(_error=None):
    session.remove()


@app.get("/authorize")
def page():
    return '<form method="post"><input name="user"></form>'


@app.post("/authorize")
def approve():
    user = session.query(User).filter_by(name=request.form["user"]).one()
    return server.create_authorization_response(grant_user=user)


@app.post("/token")
def token():
    return server.create_token_response()


@app.post("/revoke")
def revoke():
    return server.create_endpoint_response("revocation")


@app.post("/introspect")
def introspect():
    return server.create_endpoint_response("introspection")


@app.get("/resource")
@protect()
def resource():
    return jsonify({})


class Quiet(WSGIRequestHandler):
    """Keeps request lines out of the output."""

    def log_message(self, *_args):
        pass


def make_clients():
    for name in ["ann", "bob"]:
        session.add(User(name=name))
    for client_id, method in CLIENTS.items():
        client = Client(client_id=client_id, client_id_issued_at=int(time.time()))
        client.client_secret = "" if method == "none" else SECRET
        client.set_client_metadata(
            {
                "client_name": client_id,
                "redirect_uris": [REDIRECT],
                "scope": "read write",
                "response_types": ["code"],
                "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
                "token_endpoint_auth_method": method,
            }
        )
        session.add(client)
    session.commit()


Base.metadata.create_all(engine)
make_clients()
httpd = make_server("127.0.0.1", 0, app, handler_class=Quiet)
print(
    json.dumps(
        {
            "url": f"http://127.0.0.1:{httpd.server_port}",
            "secret": SECRET,
            "redirect": REDIRECT,
            "clients": CLIENTS,
            "authlib": authlib.__version__,
            "sqlalchemy": sqlalchemy.__version__,
        }
    ),
    flush=True,
)
httpd.serve_forever()
