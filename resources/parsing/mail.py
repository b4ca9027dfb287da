"""Mail by the standard library: the headers a reader sees and the body, attachments by name.

Not here: mail boxes of several messages, and what is in attachments.
"""

from dataclasses import dataclass
from email import policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser

from resources.parsing import ParsedDocument
from resources.parsing.formats import decode
from resources.parsing.html import read_html
from resources.parsing.outline import Outline
from resources.parsing.text import read_text

_HEADERS = ("From", "To", "Cc", "Date")


@dataclass(frozen=True)
class MailParser:
    """Parses one message; its subject is the heading of the rest."""

    media_type: str

    def parse(self, key: str, data: bytes) -> ParsedDocument:
        """Parse one message; see `Parser`."""
        message = BytesParser(policy=policy.default).parsebytes(data)
        outline = Outline()
        outline.heading(_header(message, "Subject"), level=1)
        shown = [f"{name}: {text}" for name in _HEADERS if (text := _header(message, name))]
        outline.add("paragraph", "\n".join(shown))
        body = message.get_body(preferencelist=("plain", "html"))
        if body is not None:
            _read_body(body, outline)
        for attachment in message.iter_attachments():
            outline.add("list_item", f"Attachment: {attachment.get_filename() or 'unnamed'}")
        return outline.document(key, self.media_type, "email")


def _header(message: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(message.get(name, "")).split())
    except (ValueError, IndexError, AttributeError):  # the library fails on some broken headers
        return ""


def _read_body(body: MIMEPart, outline: Outline) -> None:
    content = body.get_payload(decode=True)
    assert isinstance(content, bytes), "only a leaf part is a body"
    text = _text(content, body.get_content_charset())
    if body.get_content_type() == "text/html":
        read_html(text, outline)
    else:
        read_text(text, outline)


def _text(content: bytes, charset: str | None) -> str:
    try:
        return content.decode(charset or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return decode(content)
