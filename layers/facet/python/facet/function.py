"""A function: HTTP endpoints, a queue consumer, a schedule or a direct invocation behind one handler."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from chalice.app import Chalice
from chalice.app import Request as ChaliceRequest
from chalice.app import Response as ChaliceResponse
from pydantic import BaseModel

from facet import events, http, inputs, log, messages, tracing
from facet.endpoint import Endpoint
from facet.http import Answers, Event, Request, Response
from facet.problems import MethodNotAllowed, NotFound, Problem
from facet.replies import Reply, response_from
from facet.settings import settings

if TYPE_CHECKING:
    from facet import auth
    from facet.limits import Limit

View = TypeVar("View", bound=Callable[..., Any])
NextHandler = Callable[[ChaliceRequest], ChaliceResponse]

_request: ContextVar[Request] = ContextVar("request")
_current: ContextVar[ChaliceRequest | None] = ContextVar("current_request", default=None)
_context: ContextVar[Any] = ContextVar("lambda_context", default=None)


class Function(Chalice, Answers):
    """A Chalice app that answers every HTTP event shape, and the other events Facet knows.

    `app = Function("create_task")` is the handler: the runtime calls `app(event, context)`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, configure_logs=False, env={})
        self.log = log.get()
        self.api.binary_types = ["*/*"]  # for `chalice package`; here bytes are binary and str is text
        self.endpoints: list[Endpoint] = []
        self._consumer: Callable[[messages.Message], object] | None = None
        self._scheduled: Callable[[datetime], object] | None = None
        self._internal: Callable[[Mapping[str, Any]], Any] | None = None
        self.register_middleware(self._as_reply, "http")

    # Chalice keeps request and context on the app, where a second thread would overwrite them.
    @property
    def current_request(self) -> ChaliceRequest | None:
        return _current.get()

    @current_request.setter
    def current_request(self, request: ChaliceRequest | None) -> None:
        _current.set(request)

    @property
    def lambda_context(self) -> Any:
        return _context.get()

    @lambda_context.setter
    def lambda_context(self, context: Any) -> None:
        _context.set(context)

    def endpoint(
        self,
        method: str,
        path: str,
        *,
        body: type[BaseModel] | None = None,
        form: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        headers: type[BaseModel] | None = None,
        returns: type[BaseModel] | None = None,
        status: int = 200,
        caller: Callable[[Request], Any] | None = None,
        raises: Sequence[type[Exception]] = (),
        kept: bool = False,
        summary: str | None = None,
        tags: Sequence[str] = (),
        limits: Sequence["Limit"] = (),
        sends: Sequence[str] = (),
        produces: Sequence[str] = (),
        integrations: "auth.KeyVerifier | None" = None,
    ) -> Callable[[View], View]:
        """Declares an operation. The view gets, by name, only what it asks for.

        Offered: the path parameters, `caller`, `body` (JSON), `form` (multipart), `query`, `headers`, `request`.
        With both `body` and `form` the content type decides, and the other one is None. `integrations` declares the
        same once more below /integrations, for callers with an API key that it verifies.

        The documentation knows most headers of answers by what is declared (limits, a status that redirects, the
        request headers if-none-match, idempotency-key and prefer, a query with a cursor); `sends` names further ones,
        such as "Location". `produces` names media types of answers beside the JSON of `returns`.
        """

        def declare(view: View) -> View:
            declared = Endpoint(
                self.app_name, method, path, view, body, form, query, headers, returns, status, caller,
                tuple(raises), kept, summary, tuple(tags), tuple(limits),
                tuple(sends), tuple(produces),
            )  # fmt: skip
            self._register(declared)
            if integrations is not None:
                from facet import auth  # most of PyJWT's 40 ms; who names a caller has it already

                scope = "tasks:read" if method == "GET" else "tasks:write"
                by_key = auth.api_key(integrations, scope=scope)
                self._register(replace(declared, path=f"/integrations{path}", caller=by_key, tags=("integrations",)))
            return view

        return declare

    def _register(self, declared: Endpoint) -> None:
        self.endpoints.append(declared)

        def view(**parameters: str) -> ChaliceResponse:
            return Reply.of(declared.answer(_request.get()))

        view.__name__ = declared.view.__name__
        self.route(declared.path, methods=[declared.method], content_types=["*/*"], name=declared.view.__name__)(view)

    def consumer(self, view: Callable[[messages.Message], object]) -> Callable[[messages.Message], object]:
        """Declares the view of each message of a queue event. What it raises makes the trigger keep the batch."""
        self._consumer = view
        return view

    def scheduled(self, view: Callable[[datetime], object]) -> Callable[[datetime], object]:
        """Declares the view of a schedule. It gets the event's own time, so a replay does the same again."""
        self._scheduled = view
        return view

    def internal(
        self, *, body: type[BaseModel] | None = None, returns: type[BaseModel] | None = None
    ) -> Callable[[View], View]:
        """Declares a direct invocation. An event that does not fit `body` raises Invalid."""

        def declare(view: View) -> View:
            def invoke(event: Mapping[str, Any]) -> Any:
                result = view(body=inputs.value_of(body, event)) if body is not None else view()
                if returns is None:
                    return result
                return returns.model_validate(result, from_attributes=True).model_dump(mode="json", by_alias=True)

            self._internal = invoke
            return view

        return declare

    @property
    def consumes(self) -> bool:
        """Whether it has a view of queue messages."""
        return self._consumer is not None

    @property
    def is_scheduled(self) -> bool:
        return self._scheduled is not None

    @property
    def is_internal(self) -> bool:
        """Whether it can be invoked directly."""
        return self._internal is not None

    def __call__(self, event: Any, context: Any) -> Any:
        """The handler. HTTP events are always answered; on other events a failure is raised."""
        event = {} if event is None else event
        if not isinstance(event, Mapping):
            raise TypeError(f"an event is an object, not {type(event).__name__}")
        if self.consumes and messages.is_batch(event):
            return self.process(messages.messages_from(event), context, traceparent=_traceparent(event))
        if events.shape(event) is not None:
            return events.reply_to(event, self.respond(events.request_from(event), context))
        with self._invocation(context, _traceparent(event)):
            if self._scheduled is not None and (at := events.scheduled_at(event)) is not None:
                self._scheduled(at)
                return None
            if self._internal is not None:
                return self._internal(event)
            raise TypeError(f"{self.app_name} does not answer events with {', '.join(sorted(event)) or 'nothing'}")

    def respond(self, request: Request, context: Any) -> Response:
        """The answer to a request, whatever runtime it came through. Failures are answers too."""
        with self._invocation(context, request.headers.get("traceparent")) as request_id:
            request = replace(request, request_id=request_id)
            with log.context(**log.trace(tracing.current() or request.headers.get("traceparent"))):
                response = self._answer(request, context)
        return http.finished(response, method=request.method, request_id=request_id)

    def process(self, batch: Iterable[messages.Message], context: Any, *, traceparent: object = None) -> None:
        """Give each message to the consumer, in order. What that raises makes the trigger keep all of them."""
        if self._consumer is None:
            raise TypeError(f"{self.app_name} consumes no messages")
        with self._invocation(context, traceparent):
            for message in batch:
                self._consume(self._consumer, message)

    @contextmanager
    def _invocation(self, context: Any, traceparent: object) -> Iterator[str]:
        """What is logged and traced meanwhile belongs to this invocation, whose id this yields."""
        request_id = http.invocation_id(context)
        with (
            log.context(function=self.app_name, request_id=request_id),
            tracing.invocation(self.app_name, request_id, traceparent),
        ):
            yield request_id

    @staticmethod
    def _consume(view: Callable[[messages.Message], object], message: messages.Message) -> None:
        traceparent = message.headers.get("traceparent")
        described = tracing.message("process", message.queue, message.message_id, message.correlation_id)
        with (
            tracing.span(f"process {message.queue}", "consumer", described, parent=traceparent),
            log.context(**log.trace(traceparent or tracing.current())),
        ):
            view(message)

    def _answer(self, request: Request, context: Any) -> Response:
        try:
            resource, method, parameters = self._match(request)
            request = replace(request, method=method, path_parameters=parameters)
            token = _request.set(request)
            try:
                return response_from(super().__call__(events.rest_event(request, resource), context))
            finally:
                _request.reset(token)
                _current.set(None)  # a warm thread keeps nobody's body
                _context.set(None)
        except Problem as problem:
            return self._render(problem, request)

    def _render(self, problem: Problem, request: Request) -> Response:
        """A problem of no endpoint in the form of the endpoints beside it."""
        return problem.render(request, kept=any(endpoint.kept for endpoint in self.endpoints))

    def _as_reply(self, request: ChaliceRequest, get_response: NextHandler) -> ChaliceResponse:
        """A Chalice middleware, the outermost: answers of plain Chalice views and Chalice's own errors."""
        response = get_response(request)
        match response.body:
            case {"Code": _, "Message": str(message)} if response.status_code >= HTTPStatus.BAD_REQUEST:
                problem = Problem.of_status(response.status_code, message)
                return Reply.of(self._render(problem, _request.get()))
        if isinstance(response, Reply):
            return response
        return Reply(response.body, response.headers, response.status_code)

    def _match(self, request: Request) -> tuple[str, str, dict[str, str]]:
        """The route of a request: Chalice's resource path, the method there and the decoded path parameters."""
        asked = http.below(settings().path_prefix, request.path)
        paths = [(path, http.match(path, asked)) for path in self.routes]
        found = sorted(((len(named), path, named) for path, named in paths if named is not None), key=itemgetter(0))
        method = "GET" if request.method == "HEAD" else request.method
        for _, path, named in found:
            if method in self.routes[path]:
                return path, method, named
        if not found:
            raise NotFound()
        raise MethodNotAllowed.but({known for _, path, _ in found for known in self.routes[path]})


def _traceparent(event: Event) -> object:
    headers = event.get("headers")
    named = headers.items() if isinstance(headers, Mapping) else ()
    return next((value for name, value in named if name.lower() == "traceparent"), None)
