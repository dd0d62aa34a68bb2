"""Which kind of error a body means: by its own words, by the status, by the message."""

import json

from neutral import Failure

#: Words of `type`, `code` and `status` in error bodies.
WORDS = {
    "context_length_exceeded": "context_length",
    "insufficient_quota": "quota",
    "invalid_api_key": "auth",
    "authentication_error": "auth",
    "UNAUTHENTICATED": "auth",
    "permission_error": "permission",
    "PERMISSION_DENIED": "permission",
    "billing_error": "billing",
    "model_not_found": "not_found",
    "DeploymentNotFound": "not_found",
    "not_found_error": "not_found",
    "NOT_FOUND": "not_found",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limit",
    "rate_limit_exceeded": "rate_limit",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "overloaded_error": "overloaded",
    "api_error": "server",
    "server_error": "server",
    "INTERNAL": "server",
    "UNAVAILABLE": "unavailable",
    "DEADLINE_EXCEEDED": "timeout",
    "timeout_error": "timeout",
    "content_filter": "invalid_request",
    "INVALID_ARGUMENT": "invalid_request",
    "FAILED_PRECONDITION": "invalid_request",
}

STATUSES = {
    400: "invalid_request", 401: "auth", 402: "billing", 403: "permission", 404: "not_found",
    408: "timeout", 409: "conflict", 413: "too_large", 422: "unprocessable", 429: "rate_limit",
    500: "server", 502: "bad_gateway", 503: "unavailable", 504: "timeout", 529: "overloaded",
}

PATTERNS = [
    ("context_length", ("maximum context length", "prompt is too long", "exceeds the context window",
                        "input token count exceeds")),
    ("quota", ("insufficient_quota", "credit balance is too low")),
    ("overloaded", ("overloaded",)),
]

#: HTTP status that a client of each dialect gets for a kind; what an upstream says of the
#: router's own credential or account is the router's trouble, not the client's. A 404 is the model's
#: or the base URL's (502), and an unpaid account is for the operator (503).
CLIENT_STATUS = {
    "invalid_request": {400}, "context_length": {400}, "unprocessable": {422, 400},
    "too_large": {413}, "conflict": {409}, "auth": {502}, "permission": {502}, "billing": {502, 402, 429, 503},
    "not_found": {404, 502}, "rate_limit": {429}, "quota": {429, 503}, "overloaded": {503, 529},
    "truncated": {502}, "server": {500, 502, 503}, "bad_gateway": {502, 503}, "unavailable": {502, 503}, "timeout": {504, 502, 503},
}


def failure_of(body, status):
    """Reads an HTTP error body, or the JSON of an error event (then `status` is 0)."""
    try:
        value = json.loads(body) if isinstance(body, (bytes, str)) else body
    except ValueError:
        value = {}
    if isinstance(value, list):
        value = value[0] if value else {}
    error = value.get("error", value) if isinstance(value, dict) else {}
    if isinstance(error, str):
        error = {"message": error}
    message = str(error.get("message") or error.get("detail") or "")
    words = [error.get(name) for name in ("code", "type", "status")]
    for word in words:
        if isinstance(word, str) and word in WORDS:
            return Failure(WORDS[word], message)
    inner = next((n for n in words if isinstance(n, int) and n in STATUSES), status)
    for kind, patterns in PATTERNS:
        if any(p in message.lower() for p in patterns):
            return Failure(kind, message)
    return Failure(STATUSES.get(inner, "invalid_request" if "invalid_request_error" in words else "server"), message)
