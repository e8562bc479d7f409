"""What the server refuses, in S3's own codes."""

_CODES: dict[str, tuple[int, str]] = {
    "AccessDenied": (403, "Access Denied."),
    "AccessForbidden": (403, "CORSResponse: This CORS request is not allowed."),
    "AuthorizationHeaderMalformed": (400, "The authorization header is malformed."),
    "AuthorizationQueryParametersError": (400, "The query parameters of the signature are malformed."),
    "BadDigest": (400, "The checksum you specified did not match what we received."),
    "BadRequest": (400, "Insufficient information. Origin and Access-Control-Request-Method headers are needed."),
    "BucketAlreadyOwnedByYou": (409, "The bucket exists already and is yours."),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty."),
    "EntityTooLarge": (400, "The upload is larger than an object may be."),
    "EntityTooSmall": (400, "A part other than the last is smaller than 5 MiB."),
    "IncompleteBody": (400, "The body is not as long as was announced."),
    "InternalError": (500, "The server met an error of its own; its log says more."),
    "InvalidAccessKeyId": (403, "The access key you provided does not exist here."),
    "InvalidArgument": (400, "Invalid argument."),
    "InvalidBucketName": (400, "The bucket name is not valid."),
    "InvalidDigest": (400, "The Content-MD5 you specified is not valid."),
    "InvalidPart": (400, "A part could not be found, or its ETag did not match."),
    "InvalidPartOrder": (400, "The parts are not in ascending order."),
    "InvalidRange": (416, "The requested range cannot be satisfied."),
    "InvalidRequest": (400, "Invalid request."),
    "InvalidURI": (400, "The address is not valid UTF-8."),
    "KeyTooLongError": (400, "The key is longer than 1024 bytes."),
    "MalformedTrailerError": (400, "The trailer of the body is not what was announced."),
    "MalformedXML": (400, "The XML you provided is not well formed or not of the expected shape."),
    "MaxMessageLengthExceeded": (400, "The request is too big."),
    "MetadataTooLarge": (400, "The user metadata is larger than 2 KB."),
    "MethodNotAllowed": (405, "The method is not allowed against this resource."),
    "MissingContentLength": (411, "Content-Length, or x-amz-decoded-content-length, is required."),
    "NoSuchBucket": (404, "The bucket does not exist."),
    "NoSuchCORSConfiguration": (404, "The bucket has no CORS configuration."),
    "NoSuchKey": (404, "The key does not exist."),
    "NoSuchUpload": (404, "The multipart upload does not exist: it may have been completed or aborted."),
    "NotImplemented": (501, "This server does not implement what the request asks for."),
    "PreconditionFailed": (412, "A precondition you specified did not hold."),
    "RequestTimeTooSkewed": (403, "The clocks of client and server differ by more than 15 minutes."),
    "SignatureDoesNotMatch": (403, "The signature does not match: check the secret key and what was signed."),
    "XAmzContentSHA256Mismatch": (400, "The body does not match the x-amz-content-sha256 header."),
}


class S3Error(Exception):
    """A refusal: `code` is S3's, `details` become further elements of the error document."""

    def __init__(self, code: str, message: str | None = None, /, **details: str) -> None:
        self.code = code
        self.status, default = _CODES[code]
        self.message = message or default
        self.details = details
        super().__init__(self.message)
