"""Starts the project on a free loopback port, prints one line of JSON, and serves until it is killed."""

import json
import os
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django  # noqa: E402

django.setup()

import oauth2_provider  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402


class Quiet(WSGIRequestHandler):
    """Keeps request lines out of the output."""

    def log_message(self, *_args):
        pass


def make_clients():
    """Makes a confidential client, another one, and a public one."""
    clients = {}
    for name, kind in [("confidential", "confidential"), ("other", "confidential"), ("public", "public")]:
        secret = f"{name}-secret+%&=:/"
        application = Application.objects.create(
            name=name,
            client_id=f"{name}:client",
            client_secret=secret,
            client_type=kind,
            authorization_grant_type="authorization-code",
            redirect_uris="https://client.example.com/cb",
        )
        clients[name] = {"id": application.client_id, "secret": secret}
    return clients


call_command("migrate", verbosity=0)
for name in ["ann", "bob"]:
    get_user_model().objects.create_user(name)
server = make_server("127.0.0.1", 0, WSGIHandler(), handler_class=Quiet)
print(
    json.dumps(
        {
            "url": f"http://127.0.0.1:{server.server_port}",
            "clients": make_clients(),
            "django": django.get_version(),
            "toolkit": oauth2_provider.__version__,
        }
    ),
    flush=True,
)
server.serve_forever()
