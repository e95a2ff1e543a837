"""The two halves of the page: which template from which number, and what to put in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from messaging.models import MessageTemplate, PhoneNumber
from messaging.providers.whatsapp import template_shape, template_slots
from messaging.providers.whatsapp.template_shape import Shape
from messaging.providers.whatsapp.template_slots import Slot

# Offered at most; beyond that a template is opened by its page.
MOST_TEMPLATES = 500


class ChoiceForm(forms.Form):
    """The number and one of its templates; the first is chosen before the second is known."""

    use_required_attribute = False

    number = forms.ModelChoiceField(
        PhoneNumber.objects.none(),
        label="From",
        empty_label="Choose a number",
        widget=UnfoldAdminSelectWidget,
    )
    template = forms.ModelChoiceField(
        MessageTemplate.objects.none(),
        empty_label="Choose a template",
        widget=UnfoldAdminSelectWidget,
    )

    def __init__(self, data: Any, numbers: QuerySet[PhoneNumber]) -> None:
        super().__init__(data)
        fields: Any = self.fields
        fields["number"].queryset = numbers
        number = _chosen(numbers, self.data.get("number"))
        if number is not None:
            fields["template"].queryset = templates_of(number)
        fields["number"].label_from_instance = lambda each: f"{each} · {each.org.org_id}"
        fields["template"].label_from_instance = _label


def templates_of(number: PhoneNumber) -> QuerySet[MessageTemplate]:
    """Return the templates that may be queued from the number; a paused one waits."""
    may = Q(status__in=[MessageTemplate.Status.APPROVED, MessageTemplate.Status.PAUSED])
    return MessageTemplate.objects.filter(may, account=number.account_id).order_by(
        "name", "language"
    )


def _label(template: MessageTemplate) -> str:
    paused = ", paused by Meta" if template.status == MessageTemplate.Status.PAUSED else ""
    return f"{template.name} ({template.language}, {template.category.lower()}{paused})"


def _chosen(numbers: QuerySet[PhoneNumber], pk: str | None) -> PhoneNumber | None:
    return numbers.filter(pk=pk).first() if pk and pk.isdecimal() else None


def shape_of(template: MessageTemplate) -> Shape:
    """Return what the template asks for."""
    return template_shape.read(template.components, template.parameter_format, template.category)


class ValuesForm(forms.Form):
    """The recipient and a field for each value the template asks for."""

    to = forms.CharField(
        label="To",
        max_length=32,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "placeholder": "+…"}),
        help_text="A phone number in E.164, such as your own. The person must have agreed to "
        "messages of this kind, as for every other message.",
    )
    token = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def __init__(self, data: Any, template: MessageTemplate, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.shape = shape_of(template)
        self.slots: list[Slot] = template_slots.slots(self.shape)
        for slot in self.slots:
            self.fields[slot.name] = forms.CharField(
                label=slot.label, max_length=1024, widget=UnfoldAdminTextInputWidget
            )

    def typed(self) -> dict[str, str]:
        """Return what was typed so far, by the names of the slots; nothing is checked."""
        return {slot.name: str(self.data.get(slot.name, "")).strip() for slot in self.slots}

    def components(self) -> list[dict[str, Any]]:
        """Return the components of the message; only of a valid form."""
        return template_slots.components(self.shape, self.cleaned_data)
