"""What a runtime tells a function of an invocation, in the form of AWS Lambda's context object."""

import time
from dataclasses import dataclass, field
from uuid import uuid4


@dataclass(frozen=True)
class Context:
    """`timeout` is in seconds and counts from now; the runtime around it ends what takes longer."""

    function_name: str
    timeout: float = 30.0
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))
    started: float = field(default_factory=time.monotonic, repr=False)

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.started + self.timeout - time.monotonic()) * 1000))
