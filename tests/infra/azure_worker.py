"""The library that runs Python functions on Azure, with an app and without the host that would start it.

    python azure_worker.py FOLDER

It says on a line what functions it found, then answers each line (an invocation) by one: JSON both, bytes as base64.
Azure's own worker passes on what the host sends it by gRPC; here the library's entry without protobuf is called. That
library exists for Python 3.13 and later: before, the same is done with the converters of azure-functions alone.
"""

import importlib
import json
import os
import sys
from base64 import b64decode, b64encode
from types import SimpleNamespace
from typing import Any

from azure.functions.meta import Datum


class Runtime:
    """Azure's library for Python 3.13 and later."""

    class Described(dict[str, Any]):
        """Stands for a protobuf message, of which the library only fills in the fields."""

        out, inout = 1, 2

    def __init__(self, folder: str) -> None:
        events: Any = importlib.import_module("azure_functions_runtime.handle_event")
        importlib.import_module("azure_functions_runtime.bindings.meta").load_binding_registry()
        events.protos = SimpleNamespace(BindingInfo=self.Described, RpcFunctionMetadata=self.Described)
        importlib.import_module("azure_functions_runtime").start_threadpool_executor()
        events.load_function_metadata(folder, "worker_init_request")
        self._native = importlib.import_module("azure_functions_runtime.native_invocation")
        self._ids = {each["name"]: each["function_id"] for each in events._metadata_result}
        self.bindings = {each["name"]: each["raw_bindings"] for each in events._metadata_result}

    def invoke(self, function: str, name: str, datum: Datum) -> tuple[Any, str | None]:
        answer = self._native.run_invocation_sync("an-invocation", self._ids[function], [(name, datum)], {})
        _, _, result, _, error, _ = answer
        return result, error


class Library:
    """What azure-functions has of it."""

    def __init__(self, folder: str) -> None:
        found = importlib.import_module("function_app").app.get_functions()
        self._functions = {function.get_function_name(): function for function in found}
        self.bindings = {name: function.get_raw_bindings() for name, function in self._functions.items()}

    def invoke(self, function: str, name: str, datum: Datum) -> tuple[Any, str | None]:
        called = self._functions[function]
        converters = importlib.import_module("azure.functions").get_binding_registry()
        converter = converters.get(called.get_trigger().type)
        given = converter.decode(datum, trigger_metadata={}) if converter else datum.value
        context = SimpleNamespace(function_name=function, invocation_id="an-invocation")
        try:
            result = called.get_user_function()(**{name: given, "context": context})
        except Exception as error:  # what the worker tells the host
            return None, repr(error)
        return result and converters.get("http").encode(result, expected_type=None), None


def main(folder: str) -> None:
    sys.path.insert(0, folder)
    os.chdir(folder)
    worker = Runtime(folder) if sys.version_info >= (3, 13) else Library(folder)
    _say({name: [json.loads(binding) for binding in raw] for name, raw in worker.bindings.items()})
    for line in sys.stdin:
        asked = json.loads(line)
        result, error = worker.invoke(asked["function"], asked["name"], _datum(asked["type"], asked["value"]))
        _say({"error": error, "result": _plain(result.value) if result and result.type == "http" else None})


def _datum(kind: str, value: Any) -> Datum:
    if kind == "http":
        texts = {name: Datum(value[name], "string") for name in ("method", "url")}
        headers = {name: Datum(text, "string") for name, text in value["headers"].items()}
        body = Datum(b64decode(value["body"]), "bytes")
        return Datum({**texts, "headers": headers, "body": body, "query": {}, "params": {}}, "http")
    return Datum(b64decode(value) if kind == "bytes" else value, kind)


def _plain(answer: Any) -> dict[str, Any]:
    return {
        "status": int(answer["status_code"].value),
        "headers": {name: each.value for name, each in answer["headers"].items()},
        "body": b64encode(answer["body"].value).decode(),
    }


def _say(what: object) -> None:
    print(json.dumps(what), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    sys.stdout = sys.stderr  # the functions' log goes elsewhere than the answers
    main(sys.argv[1])
