"""A SAM template is read as CloudFormation would, and what the emulator does not do is named."""

import shutil
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from local.template import Template, TemplateError, load
from local.template.spec import Asynchronous, Cors, FunctionUrl
from tests.local.emulator.lab import SAMPLE, copy_sample


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sample(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def sample(project: Path) -> Template:
    return load(project / "template.yaml", {"SECRET_KEY": "12345678"})


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Writes a template whose resources are given, beside a function folder `code`, and reads it."""
    (tmp_path / "code").mkdir()

    def write(text: str, **settings: str) -> Template:
        (tmp_path / "template.yaml").write_text(dedent(text))
        return load(tmp_path / "template.yaml", settings)

    return write


def test_functions_are_named_after_their_resources(sample: Template) -> None:
    assert {"echo", "broken_import", "single", "internal"} <= set(sample.functions)


def test_globals_lie_under_a_functions_own_properties(sample: Template) -> None:
    echo, trouble = sample.functions["echo"], sample.functions["trouble"]
    assert (echo.timeout, echo.memory, echo.handler) == (5, 256, "handler.app")
    assert (trouble.timeout, trouble.memory) == (1, 128)
    assert dict(echo.environment) == {
        "GREETING": "hello",
        "SECRET_KEY": "12345678",
        "STAGE": "local-us-east-1",
        "NUMBER": "12",
        "FLAG": "true",
    }
    assert sample.functions["single"].reserved_concurrency == 2


def test_a_layer_gives_its_python_folder_and_its_requirements(sample: Template, project: Path) -> None:
    assert sample.functions["echo"].layers == (project / "layers/greeting/python",)
    assert sample.requirements == (project / "layers/packages/requirements.txt",)


def test_a_layer_that_is_built_gives_its_folder(written: Any, tmp_path: Path) -> None:
    (tmp_path / "shared" / "avatars").mkdir(parents=True)
    (tmp_path / "shared" / "avatars" / "__init__.py").touch()
    template = written(
        """
        Resources:
          Shared:
            {Type: AWS::Serverless::LayerVersion, Metadata: {BuildMethod: python3.13}, Properties: {ContentUri: shared}}
          F: {Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: a.b, Layers: [!Ref Shared]}}
        """
    )
    assert template.functions["f"].layers == (tmp_path / "shared",)


def test_routes_keep_method_path_and_the_cors_of_their_api(sample: Template) -> None:
    routes = {route.key: route for route in sample.functions["echo"].routes}
    assert set(routes) == {
        "GET /items",
        "GET /items/{id}",
        "POST /items",
        "GET /items/special",
        "ANY /files/{path+}",
        "GET /old/{name}",
    }
    assert routes["GET /items"].cors == Cors(
        allow_origins=("http://localhost:5173", "http://app.test"),
        allow_methods=("GET", "POST"),
        allow_headers=("content-type", "x-token"),
        expose_headers=("x-request-id",),
        max_age=600,
        allow_credentials=True,
    )
    assert (routes["GET /old/{name}"].kind, routes["GET /old/{name}"].cors) == ("rest", None)


def test_function_urls_are_read_with_their_cors(sample: Template) -> None:
    assert sample.functions["echo"].url == FunctionUrl("NONE", Cors(("*",), ("*",), ("*",)))
    assert sample.functions["internal"].url is None


def test_queues_and_schedules_are_read(sample: Template) -> None:
    (queue,) = sample.queues
    assert (queue.function, queue.queue, queue.batch_size, queue.window_seconds) == ("consume", "results", 3, 0.0)
    often, nightly = sample.schedules
    assert (often.expression, often.source) == ("rate(1 minute)", "aws.events")
    assert (nightly.expression, nightly.timezone, nightly.input) == (
        "cron(30 3 * * ? *)",
        "Europe/Berlin",
        '{"night": true}',
    )


def test_a_false_condition_leaves_the_resource_out(project: Path) -> None:
    names = set(load(project / "template.yaml", {"SECRET_KEY": "12345678", "STAGE": "prod"}).functions)
    assert "production_only" in names
    assert "production_only" not in load(project / "template.yaml").functions


def test_settings_fill_parameters_by_their_normalised_name(project: Path) -> None:
    template = load(
        project / "template.yaml", {"secret_key": "12345678", "RESULTS_QUEUE": "other", "CORS_ORIGINS": "a, b"}
    )
    assert template.queues[0].queue == "other"
    cors = template.functions["echo"].routes[0].cors
    assert cors is not None
    assert cors.allow_origins == ("a", "b")


def test_a_parameter_without_a_value_is_missing_and_left_out(project: Path) -> None:
    template = load(project / "template.yaml")
    assert template.missing == ("SECRET_KEY",)
    assert "SECRET_KEY" not in template.functions["echo"].environment


def test_the_sample_says_nothing_that_is_not_emulated(sample: Template) -> None:
    assert sample.warnings == []


def test_the_end_of_events_nobody_waits_for_is_read(written: Any) -> None:
    template = written(
        """
        Resources:
          WorkFunction:
            Type: AWS::Serverless::Function
            Properties:
              CodeUri: code
              Handler: a.b
              EventInvokeConfig:
                MaximumRetryAttempts: 1
                MaximumEventAgeInSeconds: 60
                DestinationConfig:
                  OnFailure: {Type: Lambda, Destination: !GetAtt TellFunction.Arn}
                  OnSuccess: {Type: Lambda, Destination: !Ref TellFunction}
          TellFunction: {Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: a.b}}
        """
    )
    assert template.functions["work"].asynchronous == Asynchronous(1, 60, "tell", "tell")
    assert template.functions["tell"].asynchronous == Asynchronous(2, 21_600, None, None)
    assert template.warnings == []


def test_a_function_keeps_the_name_that_the_template_gives_it(written: Any) -> None:
    template = written("""
        Parameters: {Stage: {Type: String, Default: dev}, Prefix: {Type: String}}
        Resources:
          First:
            Type: AWS::Serverless::Function
            Properties:
              FunctionName: !Sub shop-first-${Stage}
              CodeUri: code
              Handler: app.main
              EventInvokeConfig:
                DestinationConfig:
                  OnFailure:
                    Destination: !Sub arn:aws:lambda:us-east-1:000000000000:function:shop-second-${Stage}
          Second:
            Type: AWS::Serverless::Function
            Properties: {FunctionName: !Sub "shop-second-${Stage}", CodeUri: code, Handler: app.main}
          Third:
            Type: AWS::Serverless::Function
            Properties: {FunctionName: !Sub "${Prefix}-third", CodeUri: code, Handler: app.main}
          Fourth:
            Type: AWS::Serverless::Function
            Properties: {FunctionName: !ImportValue Fourth, CodeUri: code, Handler: app.main}
        """)
    aliases = {name: spec.alias for name, spec in template.functions.items()}
    assert aliases == {"first": "shop-first-dev", "second": "shop-second-dev", "third": "", "fourth": ""}
    assert template.functions["first"].asynchronous.on_failure == "second"
    assert (template.warnings, template.missing) == ([], ())
    assert [
        getattr(template.named(name), "name", None) for name in ("shop-first-dev", "Second", "third", "", "no")
    ] == [
        "first",
        "second",
        "third",
        None,
        None,
    ]


def test_what_is_not_emulated_is_named(written: Any) -> None:
    template = written(
        """
        Resources:
          Table: {Type: AWS::Serverless::SimpleTable}
          Role: {Type: AWS::IAM::Role}
          Failed: {Type: AWS::SQS::Queue}
          ReadFunction:
            Type: AWS::Serverless::Function
            Properties:
              CodeUri: code
              Handler: a.b
              DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Failed.Arn}
              EventInvokeConfig:
                Qualifier: live
                DestinationConfig: {OnFailure: {Type: SQS}, OnSuccess: {Destination: !GetAtt Failed.Arn}}
              FunctionUrlConfig: {AuthType: NONE, InvokeMode: RESPONSE_STREAM}
              Layers: ["arn:aws:lambda:us-east-1:1:layer:x:1"]
              Events:
                Upload: {Type: S3, Properties: {Bucket: x}}
                Get: {Type: HttpApi, Properties: {Method: GET, Path: /x, Auth: {Authorizer: y}}}
        """
    )
    assert sorted(template.warnings) == [
        "ReadFunction.EventInvokeConfig.DestinationConfig.OnFailure: SQS is no function of this template",
        "ReadFunction.EventInvokeConfig.DestinationConfig.OnSuccess: Failed is no function of this template",
        "ReadFunction.EventInvokeConfig: Qualifier is not emulated",
        "ReadFunction.Events.Get.Properties: Auth is not emulated",
        "ReadFunction.Events.Upload: events of type S3 are not emulated",
        "ReadFunction.FunctionUrlConfig.InvokeMode: responses are buffered here",
        "ReadFunction.Layers: arn:aws:lambda:us-east-1:1:layer:x:1 is not in this template",
        "ReadFunction: DeadLetterQueue is not emulated",
        "Table: AWS::Serverless::SimpleTable is not emulated",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Resources: [", "template.yaml:1: this is no YAML"),
        ("a: 1\nb:\n\t- c\n", "template.yaml:3: this is no YAML"),
        ("Resources: {A: {Type: x}, A: {Type: y}}", "template.yaml:1: this is no YAML: A is given twice"),
        ("Resources: {A: 1}", "A: expected a mapping, found 1"),
        ("Foo: {}", "there is no mapping named Resources"),
    ],
)
def test_a_file_that_is_no_template_is_refused_with_its_line(written: Any, text: str, message: str) -> None:
    with pytest.raises(TemplateError) as refused:
        written(text)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ("{Handler: a.b}", "F.CodeUri: is missing"),
        ("{CodeUri: code}", "F.Handler: is missing"),
        ("{CodeUri: nowhere, Handler: a.b}", "F.CodeUri: there is no folder nowhere"),
        (
            "{CodeUri: code, Handler: a.b, Timeout: ten}",
            "F.Timeout: expected a whole number from 1 to 900, found 'ten'",
        ),
        ("{CodeUri: code, Handler: a.b, MemorySize: 64}", "F.MemorySize: expected a whole number from 128 to 10240"),
        ("{CodeUri: code, Handler: !Ref Nothing}", "F.Handler: !Ref Nothing names no parameter and no resource"),
        ("{CodeUri: code, Handler: !Sub ['${X}', {}]}", "F.Handler: !Ref X names no parameter"),
        ("{CodeUri: code, Handler: !Select [9, [a]]}", "F.Handler: Fn::Select cannot work with [9, ['a']]"),
        ("{CodeUri: code, Handler: !ImportValue x}", "F.Handler: Fn::ImportValue has no value here"),
        ("{CodeUri: !Ref Empty, Handler: a.b}", "parameter Empty has no value and no default: set EMPTY"),
        (
            "{CodeUri: code, Handler: a.b, Events: {E: {Type: HttpApi, Properties: {Method: FETCH, Path: /}}}}",
            "F.Events.E.Properties.Method: FETCH is none of",
        ),
        (
            "{CodeUri: code, Handler: a.b, Events: {E: {Type: HttpApi, Properties: {Method: GET, Path: x}}}}",
            "F.Events.E.Properties.Path: 'x' does not start with /",
        ),
        (
            "{CodeUri: code, Handler: a.b, Events: {E: {Type: HttpApi, Properties: {ApiId: Gone, Path: /}}}}",
            "F.Events.E.Properties.ApiId: there is no API Gone",
        ),
    ],
)
def test_a_wrong_property_is_refused_by_its_place(written: Any, properties: str, message: str) -> None:
    head = "Parameters: {Empty: {Type: String}}\nResources:\n  F:\n    Type: AWS::Serverless::Function\n"
    text = f"{head}    Properties: {properties}\n"
    with pytest.raises(TemplateError) as refused:
        written(text)
    assert message in str(refused.value)
    assert "template.yaml:" in str(refused.value)


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("{Type: Number}", "many", "'many' of setting MY_VALUE is no number"),
        ("{Type: Number, MinValue: 1}", "0", "'0' of setting MY_VALUE is below 1"),
        ("{Type: String, AllowedValues: [a, b]}", "c", "'c' of setting MY_VALUE is none of a, b"),
        ("{Type: String, AllowedPattern: '[a-z]+'}", "A1", "'A1' of setting MY_VALUE does not match [a-z]+"),
        ("{Type: String, NoEcho: true, MinLength: 8}", "hush", "the value of setting MY_VALUE is shorter than 8"),
    ],
)
def test_a_value_a_parameter_does_not_allow_is_refused(written: Any, parameter: str, value: str, message: str) -> None:
    with pytest.raises(TemplateError) as refused:
        written(f"Parameters: {{MyValue: {parameter}}}\nResources: {{}}\n", MY_VALUE=value)
    assert message in str(refused.value)
    assert "hush" not in str(refused.value)


def test_two_functions_of_one_name_are_refused(written: Any) -> None:
    function = "{Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: a.b}}"
    with pytest.raises(TemplateError, match="GetItFunction already is the function get_it"):
        written(f"Resources:\n  GetItFunction: {function}\n  GetIt: {function}\n")


def test_intrinsic_functions_have_their_values(written: Any) -> None:
    template = written(
        """
        Parameters: {Names: {Type: CommaDelimitedList, Default: "a,b"}, Stage: {Type: String, Default: dev}}
        Mappings: {Sizes: {dev: {memory: 256}}}
        Conditions:
          Dev: !Equals [!Ref Stage, dev]
          Both: !And [!Condition Dev, !Not [!Equals [a, b]]]
        Resources:
          F:
            Type: AWS::Serverless::Function
            Properties:
              CodeUri: code
              Handler: a.b
              MemorySize: !FindInMap [Sizes, !Ref Stage, memory]
              ReservedConcurrentExecutions: !If [Both, !Ref AWS::NoValue, 3]
              Environment:
                Variables:
                  JOINED: !Join ["-", !Ref Names]
                  SPLIT: !Select [1, !Split [":", "x:y"]]
                  SUBSTITUTED: !Sub ["${!kept} ${Here} ${AWS::AccountId} ${F.Arn}", {Here: !Ref Stage}]
                  LONG: {Fn::Sub: "${Stage}"}
        """
    )
    function = template.functions["f"]
    assert (function.memory, function.reserved_concurrency) == (256, None)
    assert dict(function.environment) == {
        "JOINED": "a-b",
        "SPLIT": "y",
        "SUBSTITUTED": "${kept} dev 000000000000 arn:aws:local:us-east-1:000000000000:F",
        "LONG": "dev",
    }


def test_an_api_of_rest_kind_has_its_cors_in_quotes(written: Any) -> None:
    template = written(
        """
        Globals: {Api: {Cors: {AllowOrigin: "'http://a.test'", AllowMethods: "'GET,POST'", MaxAge: "'600'"}}}
        Resources:
          F:
            Type: AWS::Serverless::Function
            Properties:
              CodeUri: code
              Handler: a.b
              Events: {Get: {Type: Api, Properties: {Method: any, Path: /x}}}
        """
    )
    (route,) = template.routes
    assert (route.method, route.cors) == ("ANY", Cors(("http://a.test",), ("GET", "POST"), max_age=600))


def test_any_folder_can_be_a_project(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE / "functions" / "tick", tmp_path / "src")
    (tmp_path / "template.yaml").write_text(
        "Resources: {TickFunction: {Type: AWS::Serverless::Function, Properties: {CodeUri: src, Handler: handler.app}}}"
    )
    function = load(tmp_path / "template.yaml").functions["tick"]
    assert (function.module, function.host, function.timeout, function.memory) == ("src.handler", "tick", 3, 128)


def test_functions_that_are_no_folder_of_python_are_left_out_with_a_warning(written: Any) -> None:
    template = written(
        """
        Resources:
          NodeFunction: { Type: AWS::Serverless::Function, Properties: { Runtime: nodejs22.x, CodeUri: web } }
          ImageFunction: { Type: AWS::Serverless::Function, Properties: { PackageType: Image } }
          InlineFunction: { Type: AWS::Serverless::Function, Properties: { InlineCode: "x = 1", Runtime: python3.13 } }
        """
    )
    assert not template.functions
    assert template.warnings == [
        "NodeFunction: Runtime nodejs22.x is not emulated",
        "ImageFunction: PackageType Image is not emulated",
        "InlineFunction: InlineCode is not emulated",
    ]


def test_what_exists_in_the_cloud_only_is_known(written: Any) -> None:
    template = written(
        """
        Parameters: { Minio3dFilesBucket: { Type: String, Default: x } }
        Resources:
          F: { Type: AWS::Serverless::Function, Properties: { CodeUri: ., Handler: app.handler, Policies: [] } }
          Broker: { Type: AWS::AmazonMQ::Broker }
        """
    )
    assert template.harmless == (("F", "Policies"), ("Broker", "AWS::AmazonMQ::Broker"))
    assert template.settings == {"MINIO_3D_FILES_BUCKET"}


def test_a_variable_without_a_value_is_left_out(written: Any) -> None:
    template = written(
        """
        Conditions: { Never: !Equals [a, b] }
        Resources:
          F:
            Type: AWS::Serverless::Function
            Properties:
              CodeUri: code
              Handler: a.b
              Environment: { Variables: { GONE: !If [Never, x, !Ref AWS::NoValue], THERE: !If [Never, x, y] } }
        """
    )
    assert template.functions["f"].environment == {"THERE": "y"}
    assert template.warnings == []


SECRET = """
    Parameters:
      Stored: { Type: String, Default: "" }
      ApiSecret:
        { Type: String, NoEcho: true, Default: "", AllowedPattern: "^$|^.{8,}$", ConstraintDescription: is too short }
    Conditions: { IsStored: !Not [!Equals [!Ref Stored, ""]] }
    Rules:
      Secret: { Assertions: [{ Assert: !Not [!Equals [!Ref Stored, ""]], AssertDescription: Give Stored }] }
    Resources:
      F:
        Type: AWS::Serverless::Function
        Properties:
          CodeUri: code
          Handler: a.b
          Environment:
            Variables:
              API_SECRET: !If [IsStored, !Sub "{{resolve:secretsmanager:${Stored}:SecretString:KEY}}", !Ref ApiSecret]
"""


def test_an_empty_secret_is_missing_whatever_the_clouds_rules_say(written: Any) -> None:
    template = written(SECRET)
    assert template.missing == ("API_SECRET",)
    assert (template.functions["f"].environment, template.warnings) == ({}, [])


def test_a_secret_of_the_developer_takes_the_place_of_the_clouds(written: Any) -> None:
    template = written(SECRET, API_SECRET="correct horse")
    assert template.functions["f"].environment == {"API_SECRET": "correct horse"}
    assert template.missing == ()


def test_a_reference_into_a_store_of_the_cloud_is_no_value_and_is_told(written: Any) -> None:
    template = written(SECRET, STORED="arn:of:it")
    assert template.functions["f"].environment == {}
    assert template.warnings == ["API_SECRET: {{resolve:secretsmanager:… is not looked up, so it is not set here"]


def test_a_value_that_is_not_allowed_is_refused_in_the_templates_words_and_not_shown(written: Any) -> None:
    with pytest.raises(TemplateError, match="the value of setting API_SECRET is too short") as caught:
        written(SECRET, API_SECRET="horse")
    assert "horse" not in str(caught.value)


def test_what_watches_and_what_is_allowed_changes_nothing_here(written: Any) -> None:
    template = written(
        """
        Parameters: { MakeBucket: { Type: String, Default: "false" } }
        Conditions: { MakesBucket: !Equals [!Ref MakeBucket, "true"] }
        Resources:
          Role: { Type: AWS::IAM::Role, Properties: { AssumeRolePolicyDocument: {} } }
          Alarm: { Type: AWS::CloudWatch::Alarm, Properties: { AlarmActions: [!Ref Topic] } }
          Topic: { Type: AWS::SNS::Topic }
          Filter: { Type: AWS::Logs::MetricFilter }
          Bucket: { Type: AWS::S3::Bucket, Condition: MakesBucket }
        """
    )
    assert template.warnings == []
    assert {name for name, _ in template.harmless} == {"Role", "Alarm", "Topic", "Filter"}
