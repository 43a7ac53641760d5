from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from tests.api_clients import CommittingClient


@pytest.fixture
def api() -> APIClient:
    return CommittingClient(SERVER_NAME="localhost")
