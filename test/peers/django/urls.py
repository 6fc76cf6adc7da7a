"""The toolkit's own endpoints, and a control that makes tokens and tells the truth about them."""

import secrets
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.http import JsonResponse
from django.urls import include, path
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application, RefreshToken


def make_grant(request):
    """Makes an access and a refresh token of a client."""
    application = Application.objects.get(client_id=request.POST["client_id"])
    user = get_user_model().objects.get(username=request.POST.get("user", "ann"))
    access = AccessToken.objects.create(
        user=user,
        application=application,
        token=secrets.token_urlsafe(32),
        expires=timezone.now() + timedelta(hours=1),
        scope="read",
    )
    refresh = RefreshToken.objects.create(
        user=user,
        application=application,
        token=secrets.token_urlsafe(32),
        access_token=access,
    )
    return JsonResponse({"access": access.token, "refresh": refresh.token})


def is_alive(request):
    """Says from the database whether a token lives."""
    token = request.POST["token"]
    access = AccessToken.objects.filter(token=token, expires__gt=timezone.now())
    refresh = RefreshToken.objects.filter(token=token, revoked__isnull=True)
    return JsonResponse({"alive": access.exists() or refresh.exists()})


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("control/grant", make_grant),
    path("control/alive", is_alive),
]
