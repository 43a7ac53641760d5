"""The people and accounts for which channels carry links and buttons."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from registry.identity import accounts, grants
from registry.models import Service, ServiceAccount
from webhooks import errors

PERMISSION = "updates.decide_approval"
SCOPE = "approvals:decide"


def check(name: str, *, service: Service | None = None) -> ServiceAccount | None:
    """Return the account of that name, None for a person of the console.

    Raises ApproverRefused unless it may decide about approvals, of ``service`` if one is given.
    """
    person = get_user_model().objects.filter(username=name, is_active=True, is_staff=True).first()
    if person is not None and person.has_perm(PERMISSION):
        return None
    account = ServiceAccount.objects.filter(name=name, is_active=True).first()
    if account is not None and _may_decide(account, service):
        return account
    raise errors.ApproverRefused(f"{name[:100]!r} may not decide about approvals.")


def _may_decide(account: ServiceAccount, service: Service | None) -> bool:
    has_scope = not {SCOPE, accounts.ADMIN_SCOPE}.isdisjoint(account.scopes)
    if not has_scope or service is None or accounts.ADMIN_SCOPE in account.scopes:
        return has_scope
    return grants.is_granted(account, service.name, service_labels=service.labels)
