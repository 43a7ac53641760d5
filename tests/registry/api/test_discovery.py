"""The live instances, as Prometheus wants them."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
PROMETHEUS = "/api/v1/discovery/prometheus"


def register(api: APIClient, **registration: Any) -> None:
    body = {"service_name": "pay", "service_url": "http://10.0.0.1:8001", **registration}
    response = api.post("/api/v1/services/register", body, format="json")
    assert response.status_code == 200, response.content


def test_without_services_it_is_an_empty_list(api: APIClient) -> None:
    response = api.get(PROMETHEUS)

    assert response.json() == []
    assert response.headers["Content-Type"] == "application/json"


def test_every_instance_is_a_group_with_its_labels(api: APIClient) -> None:
    register(
        api,
        instance_id="eu-1",
        version="1.2.0",
        zone="eu",
        weight=7,
        capabilities=["rest", "grpc"],
        metadata={"metrics-path": "/internal/metrics"},
    )

    (group,) = api.get(PROMETHEUS).json()

    service_id = group["labels"].pop("__meta_saga_service_id")
    assert len(service_id) == 36
    assert group == {
        "targets": ["10.0.0.1:8001"],
        "labels": {
            "__meta_saga_service": "pay",
            "__meta_saga_service_health": "healthy",
            "__meta_saga_instance_id": "eu-1",
            "__meta_saga_url": "http://10.0.0.1:8001",
            "__meta_saga_version": "1.2.0",
            "__meta_saga_zone": "eu",
            "__meta_saga_weight": "7",
            "__meta_saga_health": "passing",
            "__meta_saga_draining": "false",
            "__meta_saga_capabilities": ",rest,grpc,",
            "__meta_saga_metadata_metrics_path": "/internal/metrics",
            "__scheme__": "http",
        },
    }


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://pay.internal", "pay.internal:80"),
        ("https://pay.internal/base/", "pay.internal:443"),
        ("https://pay.internal:8443/base", "pay.internal:8443"),
        ("http://[::1]/", "[::1]:80"),
        ("http://[::1]:9000", "[::1]:9000"),
    ],
)
def test_a_target_always_names_its_port(api: APIClient, url: str, target: str) -> None:
    register(api, service_url=url)

    (group,) = api.get(PROMETHEUS).json()

    assert group["targets"] == [target]


def test_what_left_is_no_target(api: APIClient) -> None:
    register(api)
    api.delete("/api/v1/services/pay")

    assert api.get(PROMETHEUS).json() == []
