"""The words by which people stop and start messages, before an organisation chooses its own."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

# Longer texts are letters, not commands.
LONGEST = 100
_AROUND = " \t\r\n.,!¡\"'“”«»"

# One line per language: English, Spanish, Portuguese, French, German, Italian, Dutch, Polish,
# Turkish, Russian, Arabic, Indonesian.
STOP = (
    *("stop", "stop all", "stopall", "unsubscribe", "opt out", "optout", "opt-out"),
    *("alto", "parar", "baja", "darme de baja", "cancelar suscripción", "no más mensajes"),
    *("pare", "sair", "descadastrar", "cancelar inscrição", "não quero receber"),
    *("arrêt", "arret", "arrêter", "stop pub", "désabonner", "désinscrire", "me désabonner"),
    *("stopp", "abmelden", "abbestellen", "austragen", "keine nachrichten mehr"),
    *("ferma", "basta", "disiscrivimi", "cancellami", "annulla iscrizione"),
    *("afmelden", "uitschrijven", "stoppen", "geen berichten meer"),
    *("rezygnuję", "rezygnuje", "wypisz", "wypisz mnie", "anuluj subskrypcję"),
    *("dur", "durdur", "iptal", "İPTAL", "abonelikten çık", "ret"),
    *("стоп", "отписаться", "отписка", "отпишите меня", "не присылать"),
    *("توقف", "إيقاف", "ايقاف", "إلغاء الاشتراك", "الغاء الاشتراك"),
    *("berhenti", "hentikan", "berhenti berlangganan", "unreg"),
)
START = (
    *("start", "subscribe", "unstop", "opt in", "optin", "opt-in", "resume"),
    *("iniciar", "suscribir", "suscribirme", "alta", "darme de alta"),
    *("começar", "inscrever", "cadastrar", "voltar a receber"),
    *("démarrer", "reprendre", "abonner", "m'abonner", "me réabonner"),
    *("starten", "anmelden", "abonnieren", "wieder anmelden"),
    *("inizia", "iscrivimi", "riprendi"),
    *("aanmelden", "inschrijven", "hervatten"),
    *("zapisz", "zapisz mnie", "wznów"),
    *("başlat", "başla", "abone ol"),
    *("старт", "подписаться", "подписка", "начать"),
    *("ابدأ", "ابدا", "اشتراك", "استئناف"),
    *("mulai", "langganan", "berlangganan", "reg"),
)
# What buttons of templates bring back when they are meant for opting out.
PAYLOADS = ("opt_out", "opt_out_marketing", "opt-out", "stop", "stop promotions", "unsubscribe")


def normalise(text: str) -> str:
    """Return the text as it is compared: trimmed, case-folded, in one Unicode form.

    A text too long to be a command becomes empty.
    """
    if len(text) > LONGEST:
        return ""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded).strip(_AROUND)


def normalised(words: Iterable[str]) -> frozenset[str]:
    """Return the words as they are compared, without empty ones."""
    return frozenset(word for word in map(normalise, words) if word)
