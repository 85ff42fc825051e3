"""Reads a mail with the parser of Python. As a program it writes what it has read as JSON."""

import email
import email.policy
import json
import sys


def described(content):
    """The mail as the parser of Python reads it."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    to = message["To"].addresses if message["To"] else ()
    return {
        "headers": [[name, str(value)] for name, value in message.items()],
        "to": [[mailbox.display_name, mailbox.addr_spec] for mailbox in to],
        "parts": [
            {
                "type": part.get_content_type(),
                "charset": part.get_content_charset(),
                "encoding": part["Content-Transfer-Encoding"],
                "text": part.get_content(),
            }
            for part in message.walk()
            if not part.is_multipart()
        ],
        "type": message.get_content_type(),
        "defects": [repr(defect) for part in message.walk() for defect in part.defects]
        + [repr(defect) for value in message.values() for defect in value.defects],
        "line_bytes_max": max(len(line) for line in content.split(b"\r\n")),
        "is_ascii": content.isascii(),
        "raw": content.decode("utf-8", "backslashreplace"),
    }


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        json.dump(described(file.read()), sys.stdout)
