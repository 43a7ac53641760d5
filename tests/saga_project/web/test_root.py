"""The address ``/``: a browser reaches the console, a program gets links."""

import pytest
from django.conf import settings

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "application/json;q=0.5,text/html"])
def test_browser_is_redirected_to_the_console(api, accept):
    answer = api.get("/", headers={"Accept": accept})

    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert "Accept" in answer["Vary"]


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/plain", "", "text/html;q=0"])
def test_program_gets_links(api, accept):
    answer = api.get("/", headers={"Accept": accept})

    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert "Accept" in answer["Vary"]
    assert answer.json()["version"] == settings.SAGA_VERSION


@pytest.mark.django_db
@pytest.mark.usefixtures("redis")
def test_every_link_leads_somewhere(api):
    links = api.get("/").json()["links"]
    prefix = links.pop("api")

    assert {name: api.get(path).status_code for name, path in links.items()} == {
        "console": 302,  # to the login
        "docs": 200,
        "schema": 200,
        "health": 200,
        "metrics": 200,
    }
    assert links["health"].startswith(prefix)


def test_needs_no_token(api, settings):
    settings.SAGA_AUTH = "required"

    assert api.get("/").status_code == 200


def test_other_methods_are_rejected(api):
    assert api.post("/", {}, format="json").status_code == 405


def test_other_addresses_stay_404_in_json(api):
    answer = api.get("/nowhere", headers={"Accept": BROWSER})

    assert (answer.status_code, answer.json()["error"]) == (404, "Not found")
