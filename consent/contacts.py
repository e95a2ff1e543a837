"""Finding people by phone or business-scoped id, many at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Q

from consent import remembered
from consent.models import Contact
from orgs import database
from orgs.models import Organization


@dataclass(frozen=True, slots=True)
class Recipient:
    """How somebody names a person: at least one of the two."""

    phone: str | None = field(repr=False)  # E.164 with +
    bsuid: str | None = field(repr=False)


# The same as `find`, as an expression for one row named `asked` of a larger statement.
MATCH = """coalesce(
        (SELECT id FROM consent_contact
            WHERE org_id = asked.org_id AND phone = asked.phone),
        (SELECT id FROM consent_contact
            WHERE org_id = asked.org_id AND bsuid = asked.bsuid))"""


def anywhere(**named: str) -> Q:
    """Return the contacts of any organisation with this phone or BSUID, as a condition on them.

    Their indexes begin with the organisation: by the name alone all people would be read.
    """
    return Q(org__in=Organization.objects.values("pk"), **named)


def find(org: Organization, recipients: Iterable[Recipient]) -> dict[Recipient, Contact]:
    """Return the known people, by one query; a phone goes before a BSUID."""
    return {person: known[0] for person, known in find_all(org, recipients).items()}


def find_all(org: Organization, recipients: Iterable[Recipient]) -> dict[Recipient, list[Contact]]:
    """Return the contacts of each known person, by one query: those of phone and BSUID may differ.

    They do when somebody was known by one and by the other before a webhook named both.
    """
    wanted = set(recipients)
    phones = {person.phone for person in wanted if person.phone}
    bsuids = {person.bsuid for person in wanted if person.bsuid}
    if not phones and not bsuids:
        return {}
    rows = Contact.objects.of(org).filter(Q(phone__in=phones) | Q(bsuid__in=bsuids))
    by_phone: dict[str, Contact] = {}
    by_bsuid: dict[str, Contact] = {}
    for row in rows:
        if row.phone:
            by_phone[row.phone] = row
        if row.bsuid:
            by_bsuid[row.bsuid] = row
    found: dict[Recipient, list[Contact]] = {}
    for person in wanted:
        both = (by_phone.get(person.phone or ""), by_bsuid.get(person.bsuid or ""))
        contacts = [contact for contact in both if contact is not None]
        if contacts:
            found[person] = list(dict.fromkeys(contacts))
    return found


@transaction.atomic
def find_or_create(org: Organization, recipients: Sequence[Recipient]) -> dict[Recipient, Contact]:
    """Return everybody, creating who is not known yet; learn a BSUID that comes with a phone.

    Raises ValueError for a recipient with neither phone nor BSUID.
    """
    if not all(person.phone or person.bsuid for person in recipients):
        message = "A recipient needs a phone number or a BSUID."
        raise ValueError(message)
    known = find(org, recipients)
    missing = [person for person in dict.fromkeys(recipients) if person not in known]
    if missing:
        # Somebody else may create the same person meanwhile: then theirs is found below.
        Contact.objects.bulk_create(
            (Contact(org=org, phone=person.phone, bsuid=person.bsuid) for person in missing),
            ignore_conflicts=True,
        )
        known |= find(org, missing)
    named = {(person, known[person].pk) for person in missing} | _learn_bsuids(org, known)
    remembered.apply(org, [(pk, [person.phone, person.bsuid]) for person, pk in named])
    return known


def _learn_bsuids(org: Organization, known: dict[Recipient, Contact]) -> set[tuple[Recipient, int]]:
    """Note a BSUID on the contact of its phone, unless another contact has it already.

    Returns the names of which one was new.
    """
    learnt = {
        person.bsuid: (person, contact)
        for person, contact in known.items()
        if person.bsuid and contact.bsuid is None
    }
    if not learnt:
        return set()
    taken = set(Contact.objects.of(org).filter(bsuid__in=learnt).values_list("bsuid", flat=True))
    fresh = {bsuid: found for bsuid, found in learnt.items() if bsuid not in taken}
    # In one order, so that two batches never wait for each other in a circle.
    for bsuid, (_person, contact) in sorted(fresh.items()):
        Contact.objects.filter(pk=contact.pk, bsuid=None).update(bsuid=bsuid)
        contact.bsuid = bsuid
    return {(person, contact.pk) for person, contact in fresh.values()}


@transaction.atomic
def set_zones(org: Organization, zones: Mapping[int, str]) -> None:
    """Note where contacts are; marketing that waits by another zone is looked at again."""
    if not zones:
        return
    known = (
        Contact.objects.of(org)
        .select_for_update(no_key=True)
        .filter(pk__among=set(zones))
        .order_by("pk")
        .values_list("pk", "time_zone")
    )
    changed = [pk for pk, zone in known if zone != zones[pk]]
    if not changed:
        return
    now = database.now()
    database.update_rows(
        Contact,
        [
            {"pk": pk, "time_zone": zones[pk], "zone_changed_at": now, "updated_at": now}
            for pk in changed
        ],
    )
