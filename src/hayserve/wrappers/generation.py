"""The parameters of a model that callers may set, where a deployment lets them.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

PARAMETERS = (
    "frequency_penalty",
    "logit_bias",
    "max_completion_tokens",
    "max_tokens",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "seed",
    "stop",
    "temperature",
    "top_p",
    "verbosity",
)
