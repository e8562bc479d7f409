"""What invokes a function: its routes, queue mappings and schedules, read from the template's Events."""

from collections.abc import Mapping
from typing import Any

from local.template.properties import Notes, Properties
from local.template.spec import Cors, QueueMapping, Route, RouteKind, Schedule
from local.triggers import filters

IMPLICIT_APIS = {"HttpApi": "ServerlessHttpApi", "Api": "ServerlessRestApi"}
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "ANY"})
API_HARMLESS = frozenset(
    {
        "AccessLogSettings",
        "Description",
        "DisableExecuteApiEndpoint",
        "Domain",
        "EndpointConfiguration",
        "Name",
        "StageName",
        "Tags",
    }
)
MAPPING_HARMLESS = frozenset({"SourceAccessConfigurations", "DynamicSecretsArn", "SecretsManagerKmsKeyId", "Tags"})
SCHEDULE_HARMLESS = frozenset(
    {
        "Description",
        "FlexibleTimeWindow",
        "GroupName",
        "KmsKeyArn",
        "Name",
        "OmitName",
        "PermissionsBoundary",
        "RoleArn",
    }
)


class Sources:
    """Reads the events of one function after the other; APIs are read once."""

    def __init__(self, resources: Mapping[str, Properties], global_apis: Properties, notes: Notes) -> None:
        self._resources, self._globals, self._notes = resources, global_apis, notes
        self._cors: dict[str, Cors | None] = {}
        self._prefixes: dict[str, tuple[str, str]] = {}

    def read(
        self, function: str, events: Properties
    ) -> tuple[tuple[Route, ...], tuple[QueueMapping, ...], tuple[Schedule, ...]]:
        routes: list[Route] = []
        queues: list[QueueMapping] = []
        schedules: list[Schedule] = []
        for name, event in events.parts().items():
            properties, kind = event.part("Properties"), event.text("Type")
            match kind:
                case "HttpApi":
                    routes.append(self._route(function, properties, "http"))
                case "Api":
                    routes.append(self._route(function, properties, "rest"))
                case "MQ":
                    queues.append(self._queue(f"{function}.{name}", function, properties))
                case "Schedule":
                    schedules.append(self._schedule(f"{function}.{name}", function, properties))
                case "ScheduleV2":
                    schedules.append(self._schedule_v2(f"{function}.{name}", function, properties))
                case _:
                    self._notes.warnings.append(f"{event.where}: events of type {kind} are not emulated")
        return tuple(routes), tuple(queues), tuple(schedules)

    def _route(self, function: str, event: Properties, kind: RouteKind) -> Route:
        http = kind == "http"
        method = (event.text("Method", "ANY") if http else event.text("Method")).upper()
        path = event.text("Path", "$default") if http else event.text("Path")
        method = "ANY" if method == "X-AMAZON-APIGATEWAY-ANY-METHOD" else method
        if method not in METHODS:
            raise event.error(f"{method} is none of {', '.join(sorted(METHODS))}", "Method")
        if not path.startswith("/") and path != "$default":
            raise event.error(f"{path!r} does not start with /", "Path")
        api_id = event.text("ApiId" if http else "RestApiId", IMPLICIT_APIS["HttpApi" if http else "Api"])
        cors = self._api_cors(event, api_id, "HttpApi" if http else "Api")
        written, served_at = self._prefixes.get(api_id, ("", ""))
        if written and path.startswith(f"{written}/"):
            path = served_at + path.removeprefix(written)
        if http and event.text("PayloadFormatVersion", "2.0") in ("1", "1.0"):
            kind = "rest"
        self._notes.unread(event, ())
        return Route(function, method, path, kind, cors)

    def _api_cors(self, event: Properties, api_id: str, kind: str) -> Cors | None:
        if api_id not in self._cors:
            api = self._globals.part(kind)
            if api_id in self._resources:
                api = self._resources[api_id].part("Properties").over(api)
                self._prefixes[api_id] = self._prefix(self._resources[api_id].part("Metadata").part("Facet"))
            elif api_id != IMPLICIT_APIS[kind]:
                raise event.error(f"there is no API {api_id}", "ApiId" if kind == "HttpApi" else "RestApiId")
            self._cors[api_id] = cors_of(api, "CorsConfiguration" if kind == "HttpApi" else "Cors")
            self._notes.unread(api, API_HARMLESS)
        return self._cors[api_id]

    def _prefix(self, metadata: Properties) -> tuple[str, str]:
        """What the paths of an API begin with in the template, where SAM wants plain text, and what they begin with."""
        prefix = metadata.part("PathPrefix")
        self._notes.unread(metadata, ())
        if not any(prefix):
            return "", ""
        return prefix.text("Written").rstrip("/"), f"/{prefix.text('ServedAt').strip('/')}".rstrip("/")

    def _queue(self, name: str, function: str, event: Properties) -> QueueMapping:
        names = event.texts("Queues")
        if len(names) != 1:
            raise event.error("a mapping reads exactly one queue", "Queues")
        window = event.whole("MaximumBatchingWindowInSeconds", None, high=300)
        mapping = QueueMapping(
            name,
            function,
            names[0],
            event.text("Broker"),
            batch_size=event.whole("BatchSize", 100, low=1, high=10_000),
            window_seconds=0.5 if window is None else float(window),
            filters=_filters(event.part("FilterCriteria")),
            enabled=event.flag("Enabled", True),
        )
        self._notes.unread(event, MAPPING_HARMLESS)
        return mapping

    def _schedule(self, name: str, function: str, event: Properties) -> Schedule:
        enabled = event.flag("Enabled", True) and event.text("State", "ENABLED") == "ENABLED"
        schedule = Schedule(name, function, event.text("Schedule"), input=event.get("Input", None), enabled=enabled)
        self._notes.unread(event, SCHEDULE_HARMLESS)
        return schedule

    def _schedule_v2(self, name: str, function: str, event: Properties) -> Schedule:
        schedule = Schedule(
            name,
            function,
            event.text("ScheduleExpression"),
            event.text("ScheduleExpressionTimezone", "UTC"),
            input=event.get("Input", None),
            source="aws.scheduler",
            enabled=event.text("State", "ENABLED") == "ENABLED",
        )
        self._notes.unread(event, SCHEDULE_HARMLESS)
        return schedule


def _filters(criteria: Properties) -> tuple[str, ...]:
    patterns = []
    for each in criteria.get("Filters", []):
        if not isinstance(each, dict) or not isinstance(each.get("Pattern"), str):
            raise criteria.error(f"expected a Pattern, a text, found {each!r}", "Filters")
        try:
            filters.parse(each["Pattern"])
        except filters.BadPattern as exc:
            raise criteria.error(f"{each['Pattern']!r}: {exc}", "Filters") from exc
        patterns.append(each["Pattern"])
    return tuple(patterns)


def cors_of(section: Properties, key: str) -> Cors | None:
    """`Cors` of a function URL or a REST API, `CorsConfiguration` of an HTTP API; `true` allows every origin."""
    if key not in section:
        return None
    plain = section.get(key)
    if not isinstance(plain, dict):
        return Cors(allow_origins=(_unquoted(plain),), allow_methods=("*",), allow_headers=("*",)) if plain else None
    cors = section.part(key)
    max_age = _listed(cors, "MaxAge")
    return Cors(
        allow_origins=_listed(cors, "AllowOrigins", "AllowOrigin"),
        allow_methods=_listed(cors, "AllowMethods"),
        allow_headers=_listed(cors, "AllowHeaders"),
        expose_headers=_listed(cors, "ExposeHeaders"),
        max_age=int(max_age[0]) if max_age and max_age[0].isdigit() else None,
        allow_credentials=cors.flag("AllowCredentials"),
    )


def _listed(cors: Properties, *keys: str) -> tuple[str, ...]:
    """The items, also of a REST API's one text with quotes of its own: "'GET,POST'"."""
    texts = [text for key in keys for text in cors.texts(key)]
    return tuple(_unquoted(item) for text in texts for item in text.split(",") if item.strip())


def _unquoted(value: Any) -> str:
    return "*" if value is True else str(value).strip().strip("'").strip()
