"""Whose an event is: of the number it names, else of the account; if its sender may say so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from messaging.models import BusinessAccount, PhoneNumber, WebhookDelivery
from messaging.providers.base import Event, Notice
from orgs.models import Organization

Told = tuple[WebhookDelivery, Event]


class Owners:
    """The numbers and accounts of a batch, by three queries at most."""

    def __init__(self, told: Sequence[Told]) -> None:
        named = {event.phone_number_id for _delivery, event in told}
        accounts = {
            event.account_id
            for _delivery, event in told
            if isinstance(event, Notice) or not event.phone_number_id
        }
        numbers = PhoneNumber.objects.select_related("account__app", "org")
        self._numbers = {
            number.phone_number_id: number for number in numbers.filter(phone_number_id__in=named)
        }
        self._accounts: dict[str, BusinessAccount] = {}
        self._of_account: dict[str, list[PhoneNumber]] = defaultdict(list)
        if accounts:  # there seldom are any
            known = BusinessAccount.objects.filter(waba_id__in=accounts).select_related("org")
            self._accounts = {account.waba_id: account for account in known}
            for number in numbers.filter(account__waba_id__in=accounts):
                self._of_account[number.account.waba_id].append(number)

    def number(self, told: Told) -> PhoneNumber | None:
        """Return the number the event is about; one that it does not name if there is no other."""
        delivery, event = told
        number = self._numbers.get(event.phone_number_id)
        if not event.phone_number_id and len(self._of_account[event.account_id]) == 1:
            (number,) = self._of_account[event.account_id]
        if number is None or not _may_speak_for(delivery, number.account, number):
            return None
        return number

    def account(self, told: Told) -> BusinessAccount | None:
        """Return the account of a notice, or of an event that names no number."""
        delivery, event = told
        account = self._accounts.get(event.account_id)
        if account is None or not _may_speak_for(delivery, account, account):
            return None
        return account

    def org(self, told: Told) -> Organization | None:
        """Return the organisation that the event is told to."""
        _delivery, event = told
        owned = self.number(told) if event.phone_number_id else self.account(told)
        return owned.org if owned is not None else None


def _may_speak_for(
    delivery: WebhookDelivery, account: BusinessAccount, owned: BusinessAccount | PhoneNumber
) -> bool:
    """Say whether the app that signed, and X-Org-Id if given, may speak for what is owned."""
    return account.app_id == delivery.app_id and delivery.only_org_id in {None, owned.org_id}
