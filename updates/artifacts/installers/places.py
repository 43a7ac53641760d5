"""Where directory targets live."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from updates.models import Target


def install_root(target: Target, service_name: str) -> Path:
    """Return the folder that holds ``releases`` and ``current``; every target has its own."""
    if target.install_root:
        return Path(target.install_root)
    folder: Path = settings.SAGA_INSTALL_ROOT / service_name
    return folder if target.is_automatic else folder / target.name
