import pytest
from cryptography.fernet import Fernet

from saga_project.shared import crypto


@pytest.fixture
def keys(settings):
    def use(*keys):
        settings.SAGA_ENCRYPTION_KEYS = list(keys)
        crypto._cipher.cache_clear()

    yield use
    crypto._cipher.cache_clear()


OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_a_secret_comes_back_as_it_was(keys):
    keys(NEW)

    assert crypto.decrypt(crypto.encrypt("geheim ✓")) == "geheim ✓"


def test_what_is_stored_does_not_hold_the_secret(keys):
    keys(NEW)

    assert "geheim" not in crypto.encrypt("geheim")


def test_an_old_key_still_reads_and_rotation_moves_to_the_new_one(keys):
    keys(OLD)
    sealed = crypto.encrypt("geheim")
    keys(NEW, OLD)

    rotated = crypto.rotate(sealed)
    keys(NEW)

    assert crypto.decrypt(rotated) == "geheim"


def test_without_the_key_nothing_is_returned_and_nothing_revealed(keys):
    keys(OLD)
    sealed = crypto.encrypt("geheim")
    keys(NEW)

    with pytest.raises(crypto.SecretUnreadable) as caught:
        crypto.decrypt(sealed)

    assert sealed not in str(caught.value)
