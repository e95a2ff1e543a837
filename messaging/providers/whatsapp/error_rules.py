"""Meta's error codes as data: what each means and what we do about it.

Source: the error reference of Meta's Cloud API documentation. Codes change several times a
year; operators override rows by WHATSAPP_ERROR_OVERRIDES.
"""

from __future__ import annotations

from dataclasses import replace

from messaging.providers.base import ErrorRule, Outcome, Scope

_MINUTE = 60
_HOUR = 3600

_ASK_META = "Look at the account in Meta's Business Manager."
_RENEW = "Enter a valid system-user token with the WhatsApp permissions, then lift the hold."
_FIX_REQUEST = "Correct the request named in the text and send it as a new message."
_FIX_TEMPLATE = "Compare the parameters with the template as Meta shows it, then send again."
_LATER = "It is tried again by itself; when every attempt has failed, requeue it."
_WAITS = "The messages wait by themselves; nothing to do unless it lasts."


def _retry(code: str, title: str, wait: int | None = None, most: int | None = None) -> ErrorRule:
    return ErrorRule(
        code, Outcome.RETRY, Scope.MESSAGE, title, _LATER, wait_seconds=wait, max_attempts=most
    )


def _throttle(
    code: str,
    scope: Scope,
    title: str,
    waits: tuple[int, int] | None,
    advice: str = _WAITS,
) -> ErrorRule:
    """Return a rule whose pause begins with the first wait and doubles up to the second."""
    first, longest = waits or (None, None)
    return ErrorRule(
        code,
        Outcome.THROTTLED,
        scope,
        title,
        advice,
        wait_seconds=first,
        longest_wait_seconds=longest,
    )


def _refuse(
    code: str,
    title: str,
    advice: str = _FIX_REQUEST,
    scope: Scope = Scope.MESSAGE,
) -> ErrorRule:
    return ErrorRule(code, Outcome.REJECTED, scope, title, advice)


def _stop(code: str, scope: Scope, cause: str, title: str, advice: str) -> ErrorRule:
    return ErrorRule(code, Outcome.THROTTLED, scope, title, advice, stop=cause)


def _campaign(code: str, title: str, advice: str, *, opt_out: bool = False) -> ErrorRule:
    return ErrorRule(
        code,
        Outcome.REJECTED,
        Scope.RECIPIENT,
        title,
        advice,
        campaign=True,
        opt_out=opt_out,
    )


_TOKEN = [
    _stop(code, Scope.ACCOUNT, "credentials", title, _RENEW)
    for code, title in (
        ("0", "The access token is not accepted"),
        ("3", "The app lacks a capability or permission"),
        ("10", "Permission denied or removed"),
        ("101", "The access token is not valid"),
        ("102", "The access token's session is not valid"),
        ("104", "The access token is missing"),
        ("190", "The access token has expired"),
        ("131005", "Permission missing or removed"),
    )
]

_NUMBER_STOPS = [
    _stop(code, Scope.NUMBER, "registration", title, advice)
    for code, title, advice in (
        ("33", "The phone number was deleted or is not visible", "Check the phone number id."),
        ("803", "The phone number id does not exist", "Check the phone number id."),
        ("131037", "The number's display name is not approved", "Have the name approved."),
        ("131045", "The number is not registered properly", "Register the number again."),
        ("133000", "An earlier deregistration did not finish", "Deregister it, then register."),
        ("133005", "The two-step PIN is wrong", "Enter the right PIN at Meta."),
        ("133006", "The number must be verified first", "Verify the number at Meta."),
        ("133008", "Too many wrong PINs", "Wait as Meta says, then enter the right PIN."),
        ("133009", "PINs were entered too fast", "Wait, then enter the PIN again."),
        ("133010", "The number is not registered", "Register the number at Meta."),
        ("133015", "The number was deleted too recently", "Wait five minutes, then register."),
        ("133016", "Registered and deregistered too often", "Wait 72 hours, then register."),
    )
]

_ACCOUNT_STOPS = [
    _stop("368", Scope.ACCOUNT, "policy", "Blocked for a policy violation", _ASK_META),
    _stop("131031", Scope.ACCOUNT, "policy", "The account is locked", _ASK_META),
    _stop("131042", Scope.ACCOUNT, "billing", "Payment problem", "Settle the payment method."),
    _stop("131044", Scope.ACCOUNT, "billing", "Payment problem with calls", "Settle it at Meta."),
    _stop(
        "131063",
        Scope.ACCOUNT,
        "policy",
        "Marketing templates are disabled on the Cloud API",
        "Change the account's marketing setting at Meta.",
    ),
    _stop("134011", Scope.ACCOUNT, "billing", "Payment terms not accepted", "Accept the terms."),
    _stop("134102", Scope.ACCOUNT, "policy", "Marketing messages unavailable", _ASK_META),
    _stop("139200", Scope.ACCOUNT, "policy", "Direct Send is blocked", "Use templates instead."),
]

_THROTTLES = [
    _throttle("4", Scope.APP, "The app makes too many calls", (5 * _MINUTE, _HOUR)),
    _throttle("17", Scope.APP, "The user makes too many calls", (5 * _MINUTE, _HOUR)),
    _throttle("32", Scope.APP, "The page makes too many calls", (5 * _MINUTE, _HOUR)),
    _throttle("613", Scope.APP, "A custom call limit was reached", (5 * _MINUTE, _HOUR)),
    _throttle("80007", Scope.ACCOUNT, "The account's rate limit was reached", (5 * _MINUTE, _HOUR)),
    _throttle(
        "80008", Scope.ACCOUNT, "The account's management limit was reached", (5 * _MINUTE, _HOUR)
    ),
    replace(
        _throttle("130429", Scope.NUMBER, "The number's throughput was reached", (2, _MINUTE)),
        lowers_rate=True,
    ),
    _throttle(
        "131048",
        Scope.NUMBER,
        "Restricted because people blocked or reported the number",
        (_HOUR, 24 * _HOUR),
        "Stop marketing from this number and look at its quality.",
    ),
    _throttle("131056", Scope.PAIR, "Too many messages to the same person", None),
    _throttle(
        "131064",
        Scope.UTILITY,
        "Utility messages are capped after wrong template categories",
        (_HOUR, 24 * _HOUR),
        "Correct the templates' categories; the cap ends by itself.",
    ),
    _throttle("131208", Scope.NUMBER, "Too many messages to groups", (_MINUTE, _HOUR)),
    _throttle(
        "132015",
        Scope.TEMPLATE,
        "The template is paused because of its quality",
        (3 * _HOUR, 6 * _HOUR),
        "It waits until Meta lets the template go; look at its quality.",
    ),
    _throttle("132069", Scope.TEMPLATE, "The flow is throttled", (_HOUR, _HOUR)),
]

_RETRIES = [
    _retry("1", "Unknown error or malformed request", most=3),
    _retry("2", "The service is down or overloaded", wait=_MINUTE),
    _retry("131000", "Something went wrong at Meta", most=4),
    _retry("131016", "The service is temporarily unavailable"),
    ErrorRule(
        "131057",
        Outcome.THROTTLED,
        Scope.NUMBER,
        "The account is in maintenance",
        _WAITS,
        wait_seconds=_MINUTE,
        longest_wait_seconds=5 * _MINUTE,
    ),
    _retry("133004", "The server is temporarily unavailable"),
    _retry("134101", "The template is still syncing", wait=10 * _MINUTE),
    _retry("135000", "Unknown error with the parameters", most=2),
    _retry("2494100", "In maintenance", wait=_MINUTE),
    *(
        _retry(code, "An error of an old version", most=2)
        for code in ("131014", "131027", "130470", "1006", "1013", "470")
    ),
]

_RECIPIENTS = [
    _campaign("130472", "The person is part of an experiment of Meta", "Use another channel."),
    _campaign(
        "131049",
        "Not delivered, to keep the person's engagement healthy",
        "Do not repeat it within 24 hours; plan fewer marketing messages.",
    ),
    _campaign(
        "131050",
        "The person has stopped marketing messages",
        "Respect it: send no more marketing to this person.",
        opt_out=True,
    ),
    _refuse("130403", "You have blocked this person", "Unblock first.", Scope.RECIPIENT),
    _refuse(
        "130497",
        "The account may not message people in this country",
        "Check Meta's country rules for the business.",
        Scope.RECIPIENT,
    ),
    _refuse("131021", "The recipient is the sender", "Send to another number.", Scope.RECIPIENT),
    ErrorRule(
        "131026",
        Outcome.REJECTED,
        Scope.RECIPIENT,
        "The message cannot be delivered to this person",
        "They may have no WhatsApp or an old version; try another channel or once more later.",
        undeliverable=True,
    ),
    _refuse(
        "131030",
        "The recipient is not on the test number's list",
        "Add the recipient at Meta, or use a real number.",
        Scope.RECIPIENT,
    ),
]

_TEMPLATES = [
    _refuse(code, title, advice, Scope.TEMPLATE)
    for code, title, advice in (
        ("132001", "The template does not exist in this language", "Check name and language."),
        ("132007", "The template's content breaks a policy", "Change the template at Meta."),
        ("132016", "The template is disabled", "Make a new template."),
        ("132068", "The flow is blocked", "Correct the flow at Meta."),
    )
]

_MESSAGES = [
    _refuse("100", "A parameter is not valid"),
    _refuse("131008", "A required parameter is missing"),
    _refuse("131009", "A parameter's value is not valid"),
    _refuse("131035", "A webhook could not be delivered in time", "Look at the web servers."),
    _refuse("131036", "It failed on at least one device", "It may have arrived all the same."),
    _refuse("131041", "The group does not exist"),
    _refuse(
        "131047",
        "More than 24 hours since the person's last message",
        "Send an approved template instead.",
    ),
    _refuse("131051", "This type of message is not supported"),
    _refuse("131052", "Media of the person could not be downloaded"),
    _refuse("131053", "The media could not be uploaded or fetched", "Check link, type and size."),
    _refuse("131055", "This method is not allowed for the message"),
    _refuse("131060", "The inbound message is not available"),
    _refuse("131062", "This message needs a phone number", "Send it to a phone, not a BSUID."),
    *(
        _refuse(str(code), "The group refused the message", "Look at the group at Meta.")
        for code in range(131201, 131216)
        if code != 131208
    ),
    _refuse("132000", "The number of parameters is not the template's", _FIX_TEMPLATE),
    _refuse("132005", "The text is too long once filled in", "Shorten the parameters."),
    _refuse("132008", "A parameter does not fit the template", _FIX_TEMPLATE),
    _refuse("132012", "A parameter's format does not fit the template", _FIX_TEMPLATE),
    _refuse("132018", "The template's parameters are not valid", _FIX_TEMPLATE),
    _refuse("134100", "Only marketing templates may go this way"),
    _refuse("137000", "The person's identity has changed", "Verify the person another way."),
]

# Graph's permission codes come as a range.
PERMISSION_RANGE = range(200, 300)
PERMISSION = _stop("200", Scope.ACCOUNT, "credentials", "A permission is missing", _RENEW)
# Code 100 with this sub-code: the phone number id or the token is wrong, not the message.
NO_SUCH_OBJECT_SUBCODE = 33
NO_SUCH_OBJECT = _stop(
    "100",
    Scope.NUMBER,
    "registration",
    "The phone number does not exist or the token may not use it",
    "Check phone number id and token.",
)
# 131053 for a link whose server failed for the moment.
MEDIA_LATER = _retry("131053", "The media's server failed for the moment")

RULES: tuple[ErrorRule, ...] = (
    *_TOKEN,
    *_NUMBER_STOPS,
    *_ACCOUNT_STOPS,
    *_THROTTLES,
    *_RETRIES,
    *_RECIPIENTS,
    *_TEMPLATES,
    *_MESSAGES,
)
