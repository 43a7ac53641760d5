"""docker-compose.yml is read, not run; it and docs/configuration.md agree with the settings."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.template import engines

from saga_project.local import stack

ROOT = Path(__file__).resolve().parent.parent


def _module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


dockerfile = _module("dockerfile")
TEXT = (ROOT / "docker-compose.yml").read_text()
EXTERNAL = (ROOT / "docker-compose.external.yml").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
SAGA_SERVICES = {"prepare", "web", "sweeps", "worker", "delivery", "checks", "beat"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(TEXT)
    services: dict[str, Any] = document["services"]
    return services


@pytest.fixture(scope="module")
def settings_variables() -> set[str]:
    source = (ROOT / "saga_project" / "settings.py").read_text()
    return set(re.findall(r'\benv\.\w+\(\s*"(\w+)"', source))


def _example_variables() -> set[str]:
    return set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))


def test_every_variable_that_it_sets_is_one_that_the_settings_read(
    services: dict[str, Any], settings_variables: set[str]
) -> None:
    given = {name for service in SAGA_SERVICES for name in services[service]["environment"]}

    assert given - settings_variables == set()
    assert {"DATABASE_URL", "REDIS_URL", "SAGA_SECRET_KEY", "SAGA_ENCRYPTION_KEYS"} <= given


def test_the_configuration_page_lists_every_variable_and_no_other(
    settings_variables: set[str],
) -> None:
    rows = (line for line in CONFIGURATION.splitlines() if line.startswith("| `"))
    listed = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row.split(" | ")[0])}

    assert listed == settings_variables


def test_the_example_names_every_variable_that_it_asks_for_and_no_other() -> None:
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT + EXTERNAL))

    assert _example_variables() == asked


def test_secrets_come_from_the_environment_and_have_no_default() -> None:
    secrets = re.findall(
        r"\$\{(\w*(?:SECRET|PASSWORD|ENCRYPTION|DATABASE_URL|REDIS_URL)\w*)(.{2})", TEXT + EXTERNAL
    )

    assert len(secrets) >= 8
    assert {rule for _, rule in secrets} == {":?"}


def test_every_caller_must_authenticate(services: dict[str, Any]) -> None:
    assert {services[name]["environment"]["SAGA_AUTH"] for name in SAGA_SERVICES} == {"required"}


def test_no_container_has_more_rights_than_it_needs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert any(place.startswith("/tmp") for place in service["tmpfs"]), name
    assert services["postgres"]["user"] == "postgres"
    assert services["redis"]["user"] == "redis"


def test_the_names_of_saga_must_be_given(services: dict[str, Any]) -> None:
    hosts = services["web"]["environment"]["SAGA_ALLOWED_HOSTS"]

    assert hosts.startswith("127.0.0.1,web,${SAGA_ALLOWED_HOSTS:?")


def test_the_password_of_redis_is_on_no_command_line(services: dict[str, Any]) -> None:
    first_line, *configuration = services["redis"]["command"][-1].splitlines()

    assert "REDISCLI_AUTH" not in first_line
    assert first_line.startswith("exec redis-server - ")
    assert configuration == ['requirepass "$$REDISCLI_AUTH"', "END"]


def test_redis_keeps_the_queues_through_a_restart_and_evicts_nothing(
    services: dict[str, Any],
) -> None:
    command = " ".join(services["redis"]["command"])

    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_everything_that_stays_has_a_health_check(services: dict[str, Any]) -> None:
    assert {name for name in services if "healthcheck" not in services[name]} == {"prepare"}


def test_the_workers_take_every_queue(services: dict[str, Any]) -> None:
    options = " ".join(
        word for name in ("worker", "delivery") for word in services[name]["command"]
    )
    queues = {
        queue for names in re.findall(r"--queues=(\S+)", options) for queue in names.split(",")
    }

    assert queues == {"updates", "webhooks", "node.local"}
    assert services["sweeps"]["command"] == ["python", "manage.py", "sweep"]


def test_services_with_servers_elsewhere_are_the_same_but_for_these_servers(
    services: dict[str, Any],
) -> None:
    external = yaml.safe_load(EXTERNAL)["services"]

    assert set(external) == SAGA_SERVICES
    for name, service in external.items():
        here = services[name]
        differing = {key for key in here if here[key] != service[key]}
        assert differing <= {"environment", "depends_on"}, name
        changed = {
            key
            for key in here["environment"]
            if here["environment"][key] != service["environment"][key]
        }
        assert changed == {"DATABASE_URL", "REDIS_URL"}
        assert set(service["depends_on"]) <= set(external)


def test_the_image_does_not_run_as_root_and_checks_its_health() -> None:
    *_, last = dockerfile.stages((ROOT / "Dockerfile").read_text())
    names = [name for name, _ in last.steps]

    assert ("USER", "10001") in last.steps
    assert names.index("USER") < names.index("CMD")
    assert "/readyz" in dockerfile.health_command(dict(last.steps)["HEALTHCHECK"])[-1]


def test_the_image_has_no_build_tools() -> None:
    first, last = dockerfile.stages((ROOT / "Dockerfile").read_text())

    assert first.name == "build"
    assert [words for name, words in last.steps if name == "RUN" and "pip" in words] == []


def test_the_image_serves_lookups_before_django_like_make_run() -> None:
    assert f"--http={stack.FAST_PATH_PROTOCOL}" in (ROOT / "Dockerfile").read_text()


def test_the_image_holds_everything_that_it_copies() -> None:
    copied = re.findall(r"^COPY ([^-\s]\S*)", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    allowed = set(re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), flags=re.MULTILINE))

    [engine] = engines.all()
    served = {Path(str(folder)).name for folder in [*settings.STATICFILES_DIRS, *engine.dirs]}

    assert set(copied) == allowed
    assert served <= allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []
