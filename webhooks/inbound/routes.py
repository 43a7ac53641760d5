"""All webhook routes; addresses, views, schema and replays are built from this list."""

from __future__ import annotations

from webhooks.inbound import (
    check_updates,
    config,
    deploy,
    from_sender,
    health,
    lifecycle,
    notify,
    rollback,
    update,
)
from webhooks.inbound.calls import Route

_MODULES = (update, check_updates, health, lifecycle, deploy, rollback, notify, config)
ROUTES: dict[str, Route] = {module.ROUTE.name: module.ROUTE for module in _MODULES}

#: Those that replays find: the above, and one for each foreign sender.
ALL: dict[str, Route] = {**ROUTES, **from_sender.ROUTES}
