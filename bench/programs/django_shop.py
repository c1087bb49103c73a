# SPDX-License-Identifier: MIT
"""A Django request loop: models in memory, forms, templates, JSON."""
import sys

import django
from django import forms
from django.conf import settings

ROWS = 120
PAGES = {
    "base.html": "<html><head><title>{% block title %}{% endblock %}</title></head>"
                 "<body>{% block body %}{% endblock %}</body></html>",
    "list.html": "{% extends 'base.html' %}{% block title %}{{ heading|title }}{% endblock %}"
                 "{% block body %}<ul>{% for item in items %}<li class='{% cycle 'a' 'b' %}'>"
                 "{{ forloop.counter }} <a href='{% url 'item' item.pk %}'>{{ item.name }}</a>"
                 "{% if item.stock < 5 %} last {{ item.stock }}{% endif %}"
                 " {{ item.price|floatformat:2 }}</li>{% endfor %}</ul>{% endblock %}",
    "form.html": "{% extends 'base.html' %}{% block body %}<form>{{ form.as_p }}</form>"
                 "{% endblock %}",
}

settings.configure(
    SECRET_KEY="bench", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["testserver"],
    INSTALLED_APPS=["django.contrib.contenttypes"], DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware",
                "django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {
        "loaders": [("django.template.loaders.cached.Loader",
                     [("django.template.loaders.locmem.Loader", PAGES)])]}}],
)
django.setup()

# Django wants its settings before these.
from django.db import connection, models  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.shortcuts import render  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402


class Item(models.Model):
    name = models.CharField(max_length=40)
    price = models.FloatField()
    stock = models.IntegerField()

    class Meta:
        app_label = "shop"


class OrderForm(forms.Form):
    email = forms.EmailField()
    count = forms.IntegerField(min_value=1, max_value=9)
    note = forms.CharField(required=False, widget=forms.Textarea)


def listing(request):
    items = Item.objects.filter(stock__gt=int(request.GET.get("min", 0))).order_by("-price")
    return render(request, "list.html", {"items": items[:40], "heading": "all our items"})


def item(request, pk):
    found = Item.objects.get(pk=pk)
    request.session["seen"] = request.session.get("seen", [])[-9:] + [pk]
    return JsonResponse({"name": found.name, "price": found.price,
                         "seen": request.session["seen"]})


def order(request):
    form = OrderForm(request.POST)
    if form.is_valid():
        return JsonResponse(form.cleaned_data)
    return render(request, "form.html", {"form": form}, status=400)


urlpatterns = [path("", listing), path("item/<int:pk>", item, name="item"), path("order", order)]


def work(rounds):
    with connection.schema_editor() as editor:
        editor.create_model(Item)
    Item.objects.bulk_create(Item(name="item %d" % i, price=i * 1.25, stock=i * 7 % 30)
                             for i in range(ROWS))
    client, size, statuses = Client(), 0, {}
    for i in range(rounds):
        for answer in (client.get("/", {"min": i % 20}), client.get("/item/%d" % (i % ROWS + 1)),
                       client.post("/order", {"email": "a@b.example", "count": i % 12})):
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            size += len(answer.content) if answer["Content-Type"].startswith("text") else 1
    return size, sorted(statuses.items())


print(work(int(sys.argv[1])))
