"""Django with psycopg, under gunicorn, as their documentation shows them, in one file.

DATABASE_URL is the URL of PostgreSQL.
"""

import os
from urllib.parse import unquote, urlsplit

from django.conf import settings

url = urlsplit(os.environ["DATABASE_URL"])
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only of this measurement",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": url.path[1:],
            "USER": unquote(url.username or ""),
            "PASSWORD": unquote(url.password or ""),
            "HOST": url.hostname or "",
            "PORT": url.port or "",
            "CONN_MAX_AGE": None,
        }
    },
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    (
                        "django.template.loaders.locmem.Loader",
                        {
                            "fortunes.html": """<!DOCTYPE html>
<html><head><title>Fortunes</title></head><body><table>
<tr><th>id</th><th>message</th></tr>
{% for f in fortunes %}<tr><td>{{ f.id }}</td><td>{{ f.message }}</td></tr>
{% endfor %}</table></body></html>
"""
                        },
                    )
                ]
            },
        }
    ],
)

import django  # noqa: E402  after the settings

django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import models  # noqa: E402
from django.forms.models import model_to_dict  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.shortcuts import get_object_or_404, render  # noqa: E402
from django.urls import path  # noqa: E402


class Item(models.Model):
    owner = models.BigIntegerField()
    title = models.TextField()
    body = models.TextField()
    price = models.FloatField()
    active = models.BooleanField()
    created = models.DateTimeField()

    class Meta:
        app_label = "peerbench"
        db_table = "items"


class Fortune(models.Model):
    message = models.TextField()

    class Meta:
        app_label = "peerbench"
        db_table = "fortunes"


def plain(request):
    return HttpResponse("Hello, World", content_type="text/plain; charset=utf-8")


def message(request):
    return JsonResponse({"message": "Hello, World"})


def item(request, id):
    return JsonResponse(model_to_dict(get_object_or_404(Item, pk=id)))


def fortunes(request):
    rows = list(Fortune.objects.all())
    rows.append(Fortune(id=0, message="Additional fortune added at request time."))
    rows.sort(key=lambda row: row.message)
    return render(request, "fortunes.html", {"fortunes": rows})


urlpatterns = [
    path("plain", plain),
    path("json", message),
    path("items/<int:id>", item),
    path("fortunes", fortunes),
]

application = get_wsgi_application()
