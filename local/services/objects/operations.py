"""The one list of what the server can be asked to do, and what else S3 could be."""

from local.services.objects import buckets, objects, uploads
from local.services.objects.call import Operation
from local.services.objects.errors import S3Error
from local.services.objects.request import Request

# By what is addressed, method, and the parameter or header that makes it another operation.
_OPERATIONS = {
    ("service", "GET", ""): Operation("none", buckets.list_buckets),
    ("bucket", "GET", ""): Operation("read", buckets.list_objects),
    ("bucket", "GET", "list-type"): Operation("read", buckets.list_objects_v2),
    ("bucket", "GET", "location"): Operation("any", buckets.locate_bucket),
    ("bucket", "GET", "cors"): Operation("read", buckets.get_cors),
    ("bucket", "HEAD", ""): Operation("any", buckets.head_bucket),
    ("bucket", "PUT", ""): Operation("own", buckets.create_bucket),
    ("bucket", "PUT", "cors"): Operation("own", buckets.put_cors),
    ("bucket", "DELETE", ""): Operation("own", buckets.delete_bucket),
    ("bucket", "DELETE", "cors"): Operation("own", buckets.delete_cors),
    ("bucket", "POST", "delete"): Operation("write", objects.delete_objects),
    ("object", "GET", ""): Operation("read", objects.get_object),
    ("object", "HEAD", ""): Operation("read", objects.get_object),
    ("object", "PUT", ""): Operation("write", objects.put_object),
    ("object", "PUT", "x-amz-copy-source"): Operation("write", objects.copy_object),
    ("object", "DELETE", ""): Operation("write", objects.delete_object),
    ("object", "POST", "uploads"): Operation("write", uploads.create_upload),
    ("object", "PUT", "partNumber uploadId"): Operation("write", uploads.put_part),
    ("object", "PUT", "partNumber uploadId x-amz-copy-source"): Operation("write", uploads.copy_part),
    ("object", "GET", "uploadId"): Operation("write", uploads.list_parts),
    ("object", "POST", "uploadId"): Operation("write", uploads.complete_upload),
    ("object", "DELETE", "uploadId"): Operation("write", uploads.abort_upload),
}

# Parameters that make a request one that S3 answers differently: none may be taken for a plain read or write.
_SELECTORS = frozenset(
    """
    accelerate acl analytics append attributes cors delete encryption intelligent-tiering inventory legal-hold
    lifecycle list-type location logging metrics notification object-lock ownershipControls partNumber policy
    policyStatus publicAccessBlock renameObject replication requestPayment restore retention select session tagging
    torrent uploadId uploads versionId versioning versions website
    """.split()
)


def find(request: Request) -> Operation:
    kind = "object" if request.key else "bucket" if request.bucket else "service"
    selectors = sorted(_SELECTORS.intersection(request.query))
    if kind == "object" and request.method == "PUT" and "x-amz-copy-source" in request.headers:
        selectors.append("x-amz-copy-source")
    operation = _OPERATIONS.get((kind, request.method, " ".join(selectors)))
    if operation is None and selectors:
        raise S3Error("NotImplemented")
    if operation is None:
        raise S3Error("MethodNotAllowed")
    return operation
