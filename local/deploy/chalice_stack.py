"""What `chalice package` merges into its template, because Chalice itself has no word for it."""

from collections.abc import Sequence
from typing import Any

from local.deploy import Setting, Source
from local.template.spec import FunctionSpec

STORING = ("relay_outbox", "purge_expired", "migrate", "import_legacy")
"""Those that reach the object storage, beside the API and the consumer. In template.yaml they have their own roles."""

_LOG = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
_NETWORK = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface"]
_EVERY = [
    {"Effect": "Allow", "Action": _LOG, "Resource": ["arn:*:logs:*:*:*"]},
    {"Effect": "Allow", "Action": _NETWORK, "Resource": ["*"]},
]
_SURROUNDINGS = ["ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"]  # of a private broker
_BROKER = (
    {"Effect": "Allow", "Action": _SURROUNDINGS, "Resource": ["*"]},
    {"Effect": "Allow", "Action": ["mq:DescribeBroker"], "Resource": [{"Ref": "RabbitmqBrokerArn"}]},
    {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": [{"Ref": "RabbitmqSecretArn"}]},
)
_NETWORKS = {
    "VpcSubnetIds": "Private subnets of the functions; empty for no VPC",
    "VpcSecurityGroupIds": "Security groups of the functions",
}
_BUCKETS = ("MinioImagesBucket", "Minio3dFilesBucket", "MinioDecaEmotionsBucket")


def additions(source: Source, own: Sequence[str]) -> dict[str, Any]:
    """Settings as parameters, secrets from Secrets Manager, the queue's mapping, and what the functions may do.

    `own` are those that the API is not made of.
    """
    names = dict.fromkeys(spec.name for spec, _ in source.scheduled)
    given = [setting for setting in source.plain if setting.name != "PATH_PREFIX"]
    variables: dict[str, Any] = {setting.name: {"Ref": _camel(setting.name)} for setting in given}
    # CloudFormation reads a secret anew when the words that name it change, so its version is among them.
    variables["FACET_SECRETS"] = {
        "Fn::Sub": "{{resolve:secretsmanager:${SecretsArn}:SecretString:::${SecretsVersion}}}"
    }
    ours = {
        "SecretsArn": {
            "Type": "String",
            "Description": f"Secret whose JSON has {', '.join(setting.name for setting in source.secrets)}",
        },
        "SecretsVersion": {
            "Type": "String",
            "Default": "",
            "Description": "VersionId of that secret; empty for the current one",
        },
        "RabbitmqSecretArn": {"Type": "String", "Description": "Secret with the broker's username and password"},
        "RabbitmqBrokerArn": {"Type": "String", "Description": "The Amazon MQ broker whose results queue is consumed"},
        **{name: {"Type": "String", "Default": "", "Description": text} for name, text in _NETWORKS.items()},
        "LogRetentionDays": {"Type": "Number", "Default": 30},
    }
    return {
        "Parameters": {_camel(setting.name): _parameter(setting) for setting in given} | ours,
        "Conditions": {
            "InVpc": {"Fn::And": [{"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]} for name in _NETWORKS]}
        },
        "Globals": {"Function": {"Environment": {"Variables": variables}, "VpcConfig": _network()}},
        "Resources": {
            **dict(_role(name) for name in ["ApiHandler", *map(_camel, STORING)]),
            **dict(_role(_camel(spec.name), *_BROKER) for spec in source.consumers),
            **{_camel(name): {"Properties": {"EventInvokeConfig": _once()}} for name in names},
            **dict(_mapping(spec) for spec in source.consumers),
            **dict(_log(name) for name in ["APIHandler", *map(_camel, own)]),
        },
    }


def _parameter(setting: Setting) -> dict[str, str]:
    parameter = {"Type": "String"} | ({} if setting.default is None else {"Default": setting.default})
    return parameter | ({"Description": setting.description} if setting.description else {})


def _network() -> dict[str, Any]:
    found = {
        "SubnetIds": {"Fn::Split": [",", {"Ref": "VpcSubnetIds"}]},
        "SecurityGroupIds": {"Fn::Split": [",", {"Ref": "VpcSecurityGroupIds"}]},
    }
    return {"Fn::If": ["InVpc", found, {"Ref": "AWS::NoValue"}]}


def _once() -> dict[str, int]:
    return {"MaximumRetryAttempts": 0}


def _mapping(spec: FunctionSpec) -> tuple[str, dict[str, Any]]:
    queue = spec.queues[0]
    access = [
        {"Type": "BASIC_AUTH", "URI": {"Ref": "RabbitmqSecretArn"}},
        {"Type": "VIRTUAL_HOST", "URI": {"Ref": "RabbitmqVhost"}},
    ]
    properties = {
        "FunctionName": {"Ref": _camel(spec.name)},
        "EventSourceArn": {"Ref": "RabbitmqBrokerArn"},
        "Queues": [{"Ref": "RabbitmqTasksResultsQueue"}],
        "SourceAccessConfigurations": access,
        "BatchSize": queue.batch_size,
        "MaximumBatchingWindowInSeconds": round(queue.window_seconds),
    }
    return f"{_camel(spec.name)}Mapping", {"Type": "AWS::Lambda::EventSourceMapping", "Properties": properties}


def _log(name: str) -> tuple[str, dict[str, Any]]:
    """Lambda would make it, and keep it for ever. Chalice's own setting misspells that of the API."""
    properties = {
        "LogGroupName": {"Fn::Sub": f"/aws/lambda/${{{name}}}"},
        "RetentionInDays": {"Ref": "LogRetentionDays"},
    }
    return f"{name}Log", {"Type": "AWS::Logs::LogGroup", "Properties": properties}


def _role(name: str, *statements: Any) -> tuple[str, dict[str, Any]]:
    """The role that Chalice makes for a function, with more rights than its policy file has words for."""
    document = {"Version": "2012-10-17", "Statement": [*_EVERY, *_storage(), *statements]}
    policies = [{"PolicyName": f"{name}RolePolicy", "PolicyDocument": document}]
    return f"{name}Role", {"Properties": {"Policies": policies}}


def _storage() -> list[dict[str, Any]]:
    objects = [{"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::${{{bucket}}}/*"} for bucket in _BUCKETS]
    buckets = [{"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::${{{bucket}}}"} for bucket in _BUCKETS]
    return [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], "Resource": objects},
        {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:CreateBucket", "s3:PutBucketCORS"], "Resource": buckets},
    ]


def policy() -> dict[str, Any]:
    """What every function may do: write its log, and be in a VPC."""
    return {"Version": "2012-10-17", "Statement": _EVERY}


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
