"""boto3 finds and invokes the template's functions as it does in the cloud."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.edge.conftest import Emulation

ARN = "arn:aws:lambda:us-east-1:000000000000:function"


def invoke(functions: Any, name: str, event: Any = None, **options: Any) -> tuple[dict[str, Any], Any]:
    """The answer and what the function returned."""
    payload = {} if event is None else {"Payload": json.dumps(event)}
    answer = functions.invoke(FunctionName=name, **payload, **options)
    body = answer["Payload"].read()
    return answer, json.loads(body) if body else None


def refusal(call: Any, **arguments: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return dict(refused.value.response)


@pytest.mark.parametrize(
    "name",
    [
        "tick",
        "tick:$LATEST",
        "tick:live",
        "TickFunction",
        "000000000000:function:tick",
        f"{ARN}:tick",
        f"{ARN}:tick:7",
    ],
)
def test_a_function_is_invoked_by_name_arn_and_qualifier(functions: Any, name: str) -> None:
    answer, result = invoke(functions, name, {"a": 1})
    assert result == {"a": 1}
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer
    assert len(answer["ResponseMetadata"]["RequestId"]) == 36


def test_nothing_is_an_empty_event(functions: Any) -> None:
    assert invoke(functions, "tick")[1] == {}


def test_an_error_of_the_function_is_its_payload(functions: Any) -> None:
    answer, error = invoke(functions, "trouble", {"kind": "raise_error"})
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert (error["errorType"], error["errorMessage"]) == ("LookupError", "nothing found")


def test_the_log_tail_has_the_last_four_kilobytes(functions: Any) -> None:
    answer, _ = invoke(functions, "trouble", {"kind": "log"}, LogType="Tail")
    log = base64.b64decode(answer["LogResult"]).decode()
    assert "printed line" in log
    assert f"REPORT RequestId: {answer['ResponseMetadata']['RequestId']}" in log
    answer, _ = invoke(functions, "trouble", {"kind": "print_megabytes"}, LogType="Tail")
    assert len(base64.b64decode(answer["LogResult"])) == 4096
    assert "LogResult" not in invoke(functions, "trouble", {"kind": "log"})[0]


def test_a_client_context_reaches_the_handler(functions: Any) -> None:
    context = {"custom": {"a": "b"}, "client": {"app_title": "t"}}
    encoded = base64.b64encode(json.dumps(context).encode()).decode()
    _, result = invoke(functions, "echo", {}, ClientContext=encoded)
    assert result["client_context"] == {"custom": {"a": "b"}, "app_title": "t"}
    refused = refusal(functions.invoke, FunctionName="tick", ClientContext="no base64")
    assert refused["Error"]["Code"] == "InvalidRequestContentException"


def test_the_trace_of_the_caller_goes_on(functions: Any, edge: Emulation) -> None:
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"

    def add_trace(request: Any, **_: Any) -> None:
        request.headers["X-Amzn-Trace-Id"] = trace

    functions.meta.events.register("before-send.lambda.Invoke", add_trace)
    invoke(functions, "tick")
    assert (edge.invocations[-1].trace, edge.invocations[-1].source) == (trace, "edge")


def test_a_dry_run_runs_nothing(functions: Any, edge: Emulation) -> None:
    before = len(edge.invocations)
    assert functions.invoke(FunctionName="tick", InvocationType="DryRun")["StatusCode"] == 204
    assert len(edge.invocations) == before


def test_refusals_are_boto3s_own_classes(functions: Any) -> None:
    with pytest.raises(functions.exceptions.ResourceNotFoundException, match=f"Function not found: {ARN}:nothing"):
        functions.invoke(FunctionName="nothing")
    with pytest.raises(functions.exceptions.InvalidRequestContentException, match="Could not parse"):
        functions.invoke(FunctionName="tick", Payload=b"{")
    with pytest.raises(functions.exceptions.InvalidRequestContentException, match="Could not parse"):
        functions.invoke(FunctionName="tick", Payload=b"[" * 200_000)
    with pytest.raises(ClientError, match=r"\(RequestEntityTooLargeException\).* must be smaller than"):
        functions.invoke(FunctionName="tick", Payload=b'"' + b"x" * 22_000_000 + b'"')
    with pytest.raises(functions.exceptions.InvalidParameterValueException, match="Later"):
        functions.invoke(FunctionName="tick", InvocationType="Later")


def test_above_reserved_concurrency_calls_are_throttled(functions: Any) -> None:
    def call(_: int) -> str:
        try:
            invoke(functions, "single", {"seconds": 0.5})
        except functions.exceptions.TooManyRequestsException as exc:
            response = exc.response
            assert response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
            assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
            assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
            return "throttled"
        return "done"

    with ThreadPoolExecutor(5) as threads:
        assert sorted(threads.map(call, range(5))) == ["done"] * 2 + ["throttled"] * 3


def test_functions_are_listed_page_by_page(functions: Any, edge: Emulation) -> None:
    pages = list(functions.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 4}))
    names = [found["FunctionName"] for page in pages for found in page["Functions"]]
    specs = sorted(edge.invoker.template.functions.values(), key=lambda spec: spec.name)
    assert names == [spec.alias or spec.name for spec in specs]
    assert len(pages) == -(-len(names) // 4)


def test_a_function_is_described_without_the_values_of_its_environment(functions: Any) -> None:
    found = functions.get_function(FunctionName="single")
    assert found["Concurrency"] == {"ReservedConcurrentExecutions": 2}
    configuration = functions.get_function_configuration(FunctionName="single")
    assert configuration["FunctionArn"] == f"{ARN}:single"
    assert (configuration["Handler"], configuration["Timeout"], configuration["MemorySize"]) == ("handler.app", 5, 256)
    assert "a secret of the sample" not in str([found, configuration])
    assert functions.get_function_concurrency(FunctionName="single")["ReservedConcurrentExecutions"] == 2
    functions.get_waiter("function_active_v2").wait(FunctionName="single")


def test_a_function_is_found_by_the_name_that_the_template_gives_it(functions: Any, edge: Emulation) -> None:
    alias = edge.invoker.template.functions["told"].alias
    for name in (alias, f"{ARN}:{alias}", "ToldFunction", "told"):
        found = functions.get_function_configuration(FunctionName=name)
        assert (found["FunctionName"], found["FunctionArn"]) == (alias, f"{ARN}:{alias}")
        assert functions.invoke(FunctionName=name, Payload=b"{}")["StatusCode"] == 200
    assert alias.endswith("-is-told")
    assert edge.invocations[-1].function == "told"


def test_function_urls_are_found(functions: Any) -> None:
    url = "http://localhost:8080/fn/echo/"
    assert functions.get_function_url_config(FunctionName="echo")["FunctionUrl"] == url
    assert [
        one["FunctionUrl"] for one in functions.list_function_url_configs(FunctionName="echo")["FunctionUrlConfigs"]
    ]
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.get_function_url_config(FunctionName="internal")


def test_what_is_not_served_is_named(functions: Any, edge: Emulation) -> None:
    refused = refusal(functions.delete_function, FunctionName="tick")["Error"]
    assert "template.yaml" in refused["Message"]
    for service, call in (("sqs", "list_queues"), ("sns", "list_topics"), ("dynamodb", "list_tables")):
        refused = refusal(getattr(edge.client(service), call))["Error"]
        assert refused["Message"].startswith(f"The local cloud has no {service}; on this port it serves lambda, s3")
    assert edge.client("sts").get_caller_identity()["Account"] == "000000000000"
