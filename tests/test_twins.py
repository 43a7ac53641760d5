"""Every action of the admin and every form of it has a route that calls the same operation.

An action or a form that is not in the tables fails: add its route there.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib import admin
from django.test import RequestFactory

from tests.test_schema import operations, spelled

APPS = ("registry", "updates", "webhooks")

#: Actions of lists and pages, by the model, and the route that does the same.
ACTIONS = {
    "registry.serviceaccount issue_token": "POST /tokens",
    "registry.token revoke_tokens": "DELETE /tokens/{}",
    "registry.service approve_services": "POST /services/{}/approval",
    "registry.service reject_services": "POST /services/{}/approval",
    "registry.service deregister_services": "DELETE /services/{}",
    "registry.subscription activate_subscriptions": "PATCH /subscriptions/{}",
    "registry.subscription suspend_subscriptions": "PATCH /subscriptions/{}",
    "registry.subscription cancel_subscriptions": "DELETE /subscriptions/{}",
    "updates.approval approve_updates": "POST /approvals/{}/approve",
    "updates.approval reject_updates": "POST /approvals/{}/reject",
    "updates.historyentry correct_to_success": "POST /history-entries/{}/correct",
    "updates.historyentry correct_to_failed": "POST /history-entries/{}/correct",
    "updates.historyentry correct_to_rolled_back": "POST /history-entries/{}/correct",
    "updates.node approve_nodes": "POST /nodes/{}/approve",
    "updates.node revoke_nodes": "POST /nodes/{}/revoke",
    "updates.release deploy_releases": "POST /webhooks/deploy",
    "updates.release deploy_releases_anyway": "POST /webhooks/deploy",
    "updates.release quarantine_releases": "POST /releases/{}/quarantine",
    "updates.release withdraw_releases": "POST /releases/{}/withdraw",
    "updates.release make_releases_available": "POST /releases/{}/release",
    "updates.source check_now": "POST /sources/{}/check",
    "updates.source connect": "POST /sources",
    "updates.source found": "GET /sources/{}",
    "webhooks.alert acknowledge_alerts": "POST /alerts/{}/acknowledge",
    "webhooks.receiver resume_receivers": "POST /receivers/{}/resume",
    "webhooks.delivery replay_dead": "POST /deliveries/replay",
}
#: Models whose rows the admin adds, changes or deletes, and their routes.
FORMS = {
    "registry.serviceaccount": "/accounts",
    "registry.healthcheck": "/checks",
    "updates.maintenancewindow": "/windows",
    "updates.freeze": "/freezes",
    "updates.credential": "/credentials",
    "updates.policy": "/policies",
    "updates.selectorpolicy": "/selector-policies",
    "updates.hold": "/skips",
    "updates.source": "/sources",
    "updates.target": "/targets",
    "webhooks.githubhook": "/github-hooks",
    "webhooks.configuration": "/webhooks/config",
    "webhooks.notificationrule": "/notification-rules",
}


def _admins() -> Iterator[tuple[str, admin.ModelAdmin]]:  # type: ignore[type-arg]
    for model, page in admin.site._registry.items():
        if model._meta.app_label in APPS:
            yield model._meta.label_lower, page


def _routes() -> set[str]:
    return {
        f"{method.upper()} {spelled(path).removeprefix('/api/v1')}"
        for path, method, _ in operations()
    }


def test_every_action_of_the_admin_has_a_route() -> None:
    found = {
        f"{label} {getattr(action, '__name__', action)}"
        for label, page in _admins()
        for name in ("actions", "actions_list", "actions_detail", "actions_row")
        for action in getattr(page, name, None) or ()
    }

    assert found == set(ACTIONS)
    assert set(ACTIONS.values()) <= _routes()


def test_every_form_of_the_admin_has_a_route() -> None:
    request = RequestFactory().get("/admin/")
    request.user = _Superuser()  # type: ignore[assignment]
    found = {
        label
        for label, page in _admins()
        if page.has_add_permission(request) or page.has_change_permission(request)
    }

    assert found == set(FORMS)
    assert {f"POST {path}" for path in FORMS.values()} <= _routes()


class _Superuser:
    is_active = is_staff = is_superuser = True

    def has_perm(self, *_: object) -> bool:
        return True
