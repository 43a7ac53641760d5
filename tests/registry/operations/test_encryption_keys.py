"""The database knows which encryption keys it needs; rotation moves all secrets to the newest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from pytest_django import Settings

from registry.operations import encryption_keys
from saga_project.shared import crypto
from tests.factories import ServiceFactory, SubscriptionFactory
from updates.models import Source
from webhooks.models import GitHubHook

pytestmark = pytest.mark.django_db

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SECRET = "geheim"


@pytest.fixture
def use(settings: Settings) -> Iterator[Callable[..., None]]:
    def configure(*keys: str) -> None:
        settings.SAGA_ENCRYPTION_KEYS = list(keys)
        crypto._cipher.cache_clear()

    yield configure
    crypto._cipher.cache_clear()


def seal_everywhere() -> None:
    GitHubHook.objects.create(repository="a/b", hook_id=1, sealed_token=crypto.encrypt(SECRET))
    SubscriptionFactory.create(sealed_secret=crypto.encrypt(SECRET))
    Source.objects.create(service=ServiceFactory.create(), sealed_token=crypto.encrypt(SECRET))


def test_a_recorded_key_that_is_missing_is_named(use: Callable[..., None]) -> None:
    use(OLD)
    encryption_keys.record()
    assert encryption_keys.describe_missing() == ""

    use(NEW)
    complaint = encryption_keys.describe_missing()

    assert complaint.startswith(
        f"SAGA_ENCRYPTION_KEYS: key {crypto.fingerprint(OLD)} (in use since"
    )
    assert f"(configured: {crypto.fingerprint(NEW)})" in complaint
    assert OLD not in complaint
    assert NEW not in complaint


def test_secrets_of_an_earlier_version_need_their_key(use: Callable[..., None]) -> None:
    use(OLD)
    GitHubHook.objects.create(repository="a/b", hook_id=1, sealed_token=crypto.encrypt(SECRET))
    assert encryption_keys.describe_missing() == ""

    use(NEW)

    assert "the key that encrypted" in encryption_keys.describe_missing()


def test_rotation_moves_every_secret_to_the_newest_key(use: Callable[..., None]) -> None:
    use(OLD)
    encryption_keys.record()
    seal_everywhere()
    use(NEW, OLD)
    encryption_keys.record()

    call_command("rotate_secrets")
    use(NEW)

    sealed = [
        GitHubHook.objects.get().sealed_token,
        Source.objects.get().sealed_token,
        *SubscriptionFactory._meta.model.objects.values_list("sealed_secret", flat=True),
    ]
    assert {crypto.decrypt(text) for text in sealed} == {SECRET}
    assert encryption_keys.describe_missing() == ""


def test_rotation_without_a_key_changes_nothing(use: Callable[..., None]) -> None:
    use(OLD)
    encryption_keys.record()
    seal_everywhere()
    use(NEW)

    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("rotate_secrets")

    assert crypto.fingerprint(OLD) in encryption_keys.describe_missing()


def test_a_key_that_is_lost_for_good_can_be_forgotten(use: Callable[..., None]) -> None:
    use(OLD)
    encryption_keys.record()
    seal_everywhere()
    use(NEW)

    call_command("forget_missing_keys")

    assert encryption_keys.describe_missing() == ""
    with pytest.raises(crypto.SecretUnreadable):
        crypto.decrypt(GitHubHook.objects.get().sealed_token)
