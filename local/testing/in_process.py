"""The invoker's face over handlers in this process: nothing is forked, limited or timed out."""

import io
import json
import resource
import sys
import time
import uuid
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from local import xray
from local.invocation import LIMITS, Invocation
from local.invoker import UnknownFunction
from local.sandbox import faults
from local.sandbox.bootstrap import handle
from local.sandbox.frames import RESULT
from local.sandbox.report import Report, end_line, start_line
from local.sandbox.sandbox import ARN
from local.suggestions import there_are
from local.template import Template
from local.template.spec import FunctionSpec
from local.testing.caller import Caller
from local.testing.surroundings import Surroundings


class InProcess:
    """`raises`: what a handler raises goes on to the caller, instead of becoming an error object."""

    def __init__(self, template: Template, *, raises: bool = False) -> None:
        self.template, self.limits = template, LIMITS["local"]
        self.broken: Mapping[str, str] = {}
        self._raises, self._surroundings = raises, Surroundings()

    def sandboxes(self) -> dict[str, dict[str, int]]:
        return {}

    async def invoke(self, name: str, event: Mapping[str, Any] | bytes, **how: Any) -> Invocation:
        """Call the function in the thread that waits for it. Raises UnknownFunction."""
        return await Caller.here(lambda: self.call(name, event, **how))

    def call(
        self,
        name: str,
        event: Mapping[str, Any] | bytes,
        *,
        request_id: str | None = None,
        trace: str | None = None,
        source: str = "invoke",
    ) -> Invocation:
        """Call the function here and now. Raises UnknownFunction."""
        spec = self._spec(name)
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        request_id, trace, started = request_id or str(uuid.uuid4()), trace or xray.new_header(), time.time()
        attempt, printed = _Attempt(self._surroundings, spec), io.StringIO()
        begun = time.perf_counter()
        header = {"request_id": request_id, "trace": trace, "deadline_ms": int((started + spec.timeout) * 1000)}
        init = {"arn": ARN.format(name), "response_limit": self.limits.response}
        with self._surroundings.around(spec, printed):
            kind, payload = handle(attempt, header, body, init)
        if attempt.raised and self._raises:
            raise attempt.raised
        duration_ms = (time.perf_counter() - begun) * 1000 - (attempt.init_ms or 0)
        failed = kind != RESULT
        report = Report(
            request_id,
            duration_ms,
            spec.memory,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            attempt.init_ms,
            "error" if failed else "success",
            faults.error_type(payload) if failed else None,
        )
        log = f"{start_line(request_id)}\n{printed.getvalue()}{end_line(request_id)}\n{report}\n"
        function_error = "Unhandled" if failed else None
        return Invocation(
            request_id, name, payload, function_error, log, report, body, source=source, trace=trace, started=started
        )

    def module(self, name: str) -> ModuleType:
        """The module of the function's handler. Raises UnknownFunction, Fault, and what the module raises."""
        spec = self._spec(name)
        with self._surroundings.around(spec, io.StringIO()):
            self._surroundings.handler(spec)
        return sys.modules[spec.module]

    def _spec(self, name: str) -> FunctionSpec:
        try:
            return self.template.functions[name]
        except KeyError:
            raise UnknownFunction(f"There is no function {name}. {there_are(self.template.functions, name)}") from None


class _Attempt:
    """A handler that is imported when it is first called, and remembers what it raised."""

    def __init__(self, surroundings: Surroundings, spec: FunctionSpec) -> None:
        self._surroundings, self._spec = surroundings, spec
        self.init_ms: float | None = None
        self.raised: Exception | None = None

    def __call__(self, event: Any, context: Any) -> Any:
        try:
            cold, started = not self._surroundings.is_loaded(self._spec), time.perf_counter()
            handler = self._surroundings.handler(self._spec)
            self.init_ms = (time.perf_counter() - started) * 1000 if cold else None
            return handler(event, context)
        except Exception as exc:
            self.raised = exc
            raise
