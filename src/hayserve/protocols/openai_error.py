"""OpenAI's error object, for every protocol that speaks OpenAI's dialect.

Source: https://platform.openai.com/docs/guides/error-codes
"""

from typing import Any

from hayserve.errors import HayserveError, NotFound
from hayserve.protocols.statuses import status_of


def error_object(error: HayserveError, *, run_id: str) -> dict[str, Any]:
    """`{"error": {"message", "type", "param", "code", "run_id"}}`."""
    code = (
        "model_not_found" if isinstance(error, NotFound) and error.param == "model" else error.code
    )
    return {
        "error": {
            "message": str(error),
            "type": status_of(error).openai_type,
            "param": error.param,
            "code": code,
            "run_id": run_id,
        }
    }
