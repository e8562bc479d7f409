"""python -m facet.serve [NAME ... | all]: functions over HTTP in processes of their own, by uvicorn.

Other servers, same environment: `uvicorn --factory facet.serve:application`, `gunicorn "facet.serve:wsgi()"`.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Never, TypeVar

from facet import loading, log
from facet.api import Api, DuplicateRoute
from facet.cors import CrossOrigin
from facet.function import Function
from facet.http import Answers
from facet.options import Options, WrongOption
from facet.settings import SettingsError, settings

if TYPE_CHECKING:
    from socket import socket

    from _typeshed.wsgi import WSGIApplication

    from facet.front import Front

Made = TypeVar("Made")

NEEDED = tuple(
    "postgres_host postgres_user postgres_password postgres_db rabbitmq_host rabbitmq_user rabbitmq_password "
    "minio_host minio_access_key minio_secret_key secret_key refresh_secret_key".split()
)
_NO_APPLICATION = 4  # the exit code after which gunicorn does not try again


class CannotServe(Exception):
    """Nothing can be served like this; the text says why, and what to do."""


def answers_of(names: Sequence[str]) -> Answers:
    """What answers for these functions, or for `all`. Raises CannotServe."""
    try:
        settings()
        functions = [loading.load(name) for name in (loading.names() if list(names) == ["all"] else names)]
        if len(functions) == 1:
            return _alone(functions[0])
        _check_settings()
        return CrossOrigin(Api(_with_routes(functions, asked=list(names) != ["all"])), settings().cors_origins)
    except (loading.UnknownFunction, loading.BrokenFunction, SettingsError, DuplicateRoute) as error:
        raise CannotServe(f"{error}") from error


def _alone(function: Function) -> Answers:
    """A function that consumes or has a schedule gets its events as requests, and only then: nobody else is to."""
    if function.consumes or function.is_scheduled:
        from facet.adapters.cloudevents import Receiver

        return Receiver(function)
    if not function.routes:
        raise CannotServe(f"{function.app_name} has no endpoint: python -m facet.invoke {function.app_name}")
    return CrossOrigin(Api([function]), settings().cors_origins)


def _with_routes(functions: Sequence[Function], *, asked: bool) -> Sequence[Function]:
    """Raises CannotServe where one that is asked for has no routes."""
    without = [function.app_name for function in functions if not function.routes]
    if asked and without:
        raise CannotServe(f"Without an endpoint: {', '.join(without)}. Name a function that takes events alone.")
    return [function for function in functions if function.routes]


def _check_settings() -> None:
    """Those that together the functions cannot do without. Raises SettingsError."""
    missing = []
    for name in NEEDED:
        try:
            getattr(settings(), name)
        except SettingsError:
            missing.append(name.upper())
    if missing:
        raise SettingsError(f"Not set: {', '.join(missing)}. Set them in the environment of this process")


def front_of(options: Options) -> "Front":
    """The whole ASGI application. Raises CannotServe."""
    from facet.adapters import asgi
    from facet.front import Front

    _leave_threads_to_others(options.threads)
    return Front(asgi.application(answers_of(options.names), threads=options.threads, timeout=options.timeout))


def _leave_threads_to_others(threads: int) -> None:
    """Those who wait for a task hold at most half of the threads."""
    try:
        if settings().long_poll_waiters > threads // 2:
            os.environ["LONG_POLL_WAITERS"] = str(threads // 2)
            settings.cache_clear()
    except SettingsError as error:
        raise CannotServe(str(error)) from error


def application() -> "Front":
    """For ASGI servers: `uvicorn --factory facet.serve:application`."""
    front = _or_exit(lambda: front_of(Options.read(os.environ)))
    with log.context():  # from here on what is logged is JSON
        return front


def wsgi() -> "WSGIApplication":
    """For WSGI servers: `gunicorn --threads 8 "facet.serve:wsgi()"`."""
    from facet.adapters import wsgi as adapter

    options = _or_exit(lambda: Options.read(os.environ), code=_NO_APPLICATION)
    answers = _or_exit(lambda: answers_of(options.names), code=_NO_APPLICATION)
    return adapter.application(answers, timeout=options.timeout)


def main(arguments: Sequence[str] | None = None) -> None:
    signal.signal(signal.SIGTERM, _end)  # while it starts; the first process of a container would ignore it
    parser = argparse.ArgumentParser(prog="python -m facet.serve", description="Serves functions over HTTP.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="functions, or all (default: FACET_FUNCTION, or all)")
    given = parser.parse_args(arguments)
    _or_exit(lambda: _serve(Options.read(os.environ, given.names)))


def _serve(options: Options) -> None:
    from facet import server
    from facet.workers import Workers

    front, listener = front_of(options), _listener(options)

    def work(watched: int | None) -> None:
        server.serve(front, listener, grace=options.grace, on_stop=front.stop, watched=watched)

    with log.context():
        host, port = listener.getsockname()[:2]
        said = {"host": host, "port": port, "functions": list(options.names), "processes": options.processes}
        log.get().info("serving", extra={**said, "threads": options.threads, "timeout": options.timeout})
        if options.processes == 1:
            work(None)
        else:
            Workers(options.processes, work, on_stop=listener.close).run()
        log.get().info("stopped")


def _listener(options: Options) -> "socket":
    """Raises CannotServe."""
    from facet import server

    try:
        return server.listening(options.host, options.port)
    except OSError as error:
        reason = error.strerror or error
        raise CannotServe(
            f"HOST {options.host}, PORT {options.port} cannot be had ({reason}): set another PORT."
        ) from error


def _or_exit(make: Callable[[], Made], *, code: int = 1) -> Made:
    try:
        return make()
    except (CannotServe, WrongOption) as error:
        sys.stderr.write(f"facet.serve: {log.redacted(str(error))}\n")
        raise SystemExit(code) from None


def _end(*_: object) -> Never:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
