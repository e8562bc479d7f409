"""What somebody may have meant who named something that is not there."""

from collections.abc import Iterable
from difflib import get_close_matches


def there_are(known: Iterable[str], meant: str, *, none: str = "none") -> str:
    """`There are: create_task, get_task. Did you mean create_task?`"""
    names = sorted(set(known))
    close = get_close_matches(meant, names, n=2)
    question = f" Did you mean {' or '.join(close)}?" if close else ""
    return f"There are: {', '.join(names) or none}.{question}"
