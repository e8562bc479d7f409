"""What one check of `facet doctor` has found."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Finding:
    """`failed` needs action, otherwise `detail` is what was found."""

    name: str
    detail: str
    failed: bool = False
    advice: str = ""

    @property
    def mark(self) -> str:
        """What a reader sees first."""
        return "FAIL" if self.failed else "ok  "

    def as_dict(self) -> dict[str, object]:
        """Plain data for `--json`."""
        return asdict(self)
