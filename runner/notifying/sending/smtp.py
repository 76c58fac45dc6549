"""Mail by SMTP. Touches the network."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, getaddresses, parseaddr
from typing import Any

from runner.notifying.sending.variables import SendError, Variables
from runner.requests.receivers import Email

_SILENCE_S = 10.0
"""How long the server may be silent."""
_TLS_PORT = 465


def mail(email: Email, payload: Mapping[str, Any], variables: Variables) -> str | None:
    """Send a message by mail; return which recipients were refused. Raises SendError."""
    try:
        server = _connected(email, variables)
        try:
            refused = _handed_over(message_of(email, payload), server)
            with suppress(OSError, smtplib.SMTPException):
                server.quit()  # the server has the message, so an error now changes nothing
        finally:
            server.close()
    except smtplib.SMTPRecipientsRefused as error:
        raise SendError(_refusals(error.recipients)) from None
    except smtplib.SMTPNotSupportedError as error:
        raise SendError(f"the server does not support it: {error}") from None
    except smtplib.SMTPResponseException as error:
        raise SendError(
            f"the server answered {error.smtp_code} {_text(error.smtp_error)}"
        ) from None
    except (OSError, smtplib.SMTPException) as error:
        raise SendError(_words(error)) from None
    return _refusals(refused) if refused else None


def message_of(email: Email, payload: Mapping[str, Any]) -> EmailMessage:
    """Return the mail.

    Its Message-ID is made from the message's id, and those of earlier messages about the
    same alerts are in In-Reply-To and References, so that a mail program shows one thread.
    """
    message = EmailMessage()
    message["From"], message["To"] = email.sender, ", ".join(email.to)
    message["Subject"] = payload["subject"]
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = _message_id(payload["id"], payload)
    if threads := [_message_id(each, payload) for each in payload["threads"]]:
        message["In-Reply-To"], message["References"] = threads[0], " ".join(threads)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic answer, please
    message.set_content(payload["text"])
    return message


def _handed_over(message: EmailMessage, server: smtplib.SMTP) -> Mapping[str, Any]:
    """Give the mail to the server; return the refused recipients.

    `send_message` alone would put a `>` before each line that begins with "From ".
    """
    sender, *recipients = [address for _, address in getaddresses([message["From"], message["To"]])]
    if all(address.isascii() for address in (sender, *recipients)):
        return server.sendmail(sender, recipients, message.as_bytes(policy=SMTP))
    return server.send_message(message)


def _connected(email: Email, variables: Variables) -> smtplib.SMTP:
    server: smtplib.SMTP
    if email.port == _TLS_PORT:
        context = ssl.create_default_context()
        server = smtplib.SMTP_SSL(email.host, email.port, timeout=_SILENCE_S, context=context)
    else:
        server = smtplib.SMTP(email.host, email.port, timeout=_SILENCE_S)
    try:
        if email.starttls:
            server.starttls(context=ssl.create_default_context())
        if email.user_variable and email.password_variable:
            server.login(
                variables.value(email.user_variable), variables.value(email.password_variable)
            )
    except BaseException:
        server.close()
        raise
    return server


def _words(error: OSError | smtplib.SMTPException) -> str:
    # smtplib reports a timeout as a lost connection.
    if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
        return f"no answer within {_SILENCE_S:g} s"
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return words or type(error).__name__


def _message_id(identity: str, payload: Mapping[str, Any]) -> str:
    domain = parseaddr(str(payload["host"]))[1] or "localhost"
    return f"<{identity}@{domain}>"


def _refusals(refused: Mapping[str, tuple[int, bytes]]) -> str:
    each = (f"{address} ({code} {_text(why)})" for address, (code, why) in refused.items())
    return f"the server refused {', '.join(each)}"


def _text(answer: bytes | str) -> str:
    return answer.decode(errors="replace") if isinstance(answer, bytes) else answer
