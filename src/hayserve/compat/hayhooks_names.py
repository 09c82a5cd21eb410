"""Says which modules and names of Hayhooks there are here, and where each one lives.

They are the public names of Hayhooks 2.1 and the deeper modules that wrappers import from.
"""

from collections.abc import Mapping

DURABLE = frozenset(
    {"DurableContext", "current_durable_context", "durable", "durable_streaming_callback"}
)

# The settings that Hayhooks has too, by the same names and with the same meanings.
SETTINGS = frozenset(
    {
        "additional_python_path",
        "cors_allow_credentials",
        "cors_allow_headers",
        "cors_allow_methods",
        "cors_allow_origin_regex",
        "cors_allow_origins",
        "cors_expose_headers",
        "cors_max_age",
        "disable_ssl",
        "files_to_ignore_patterns",
        "graceful_shutdown_timeout",
        "host",
        "pipelines_dir",
        "port",
        "root_path",
        "show_tracebacks",
        "startup_deploy_strategy",
        "startup_deploy_workers",
        "streaming_components",
        "use_https",
    }
)

_EVENTS = (
    "NotificationEventData",
    "PipelineEvent",
    "StatusEventData",
    "create_notification_event",
    "create_status_event",
)
_DEFAULT_CALLBACKS = (
    "default_on_pipeline_end",
    "default_on_tool_call_end",
    "default_on_tool_call_start",
)
_CALLBACK_TYPES = (
    "OnPipelineEnd",
    "OnReasoning",
    "OnToolCallEnd",
    "OnToolCallStart",
    "ToolCallbackReturn",
)
_MESSAGES = (
    "chat_messages_from_openai_response",
    "get_input_files",
    "get_last_user_input_text",
    "get_last_user_message",
    "is_user_message",
)
_STREAMING = {
    "hayserve.wrappers.client_events": _CALLBACK_TYPES,
    "hayserve.wrappers.streaming": ("async_streaming_generator", "streaming_generator"),
    "hayserve.wrappers.streaming_targets": (
        "find_all_streaming_components",
        "is_streaming_component",
        "parse_streaming_components_setting",
    ),
}

# Hayhooks' modules: for each, which names it has from which of ours.
_MODULES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "hayhooks": {
        "hayserve": (
            "AsyncPipeline",
            "BasePipelineWrapper",
            "Pipeline",
            "PipelineEvent",
            "SSEStream",
            "YAMLPipelineWrapper",
            "async_streaming_generator",
            "coerce_pipeline_inputs",
            "create_app",
            "log",
            "run_app",
            "streaming_generator",
            *_DEFAULT_CALLBACKS,
            *_MESSAGES,
        )
    },
    "hayhooks.callbacks": {"hayserve.wrappers.default_callbacks": _DEFAULT_CALLBACKS},
    "hayhooks.chainlit_events": {
        "hayserve.wrappers.chainlit_events": (
            "ChainlitEvent",
            "PipelineEvent",
            "create_custom_element_event",
        )
    },
    "hayhooks.events": {"hayserve.wrappers.client_events": _EVENTS},
    "hayhooks.open_webui": {
        "hayserve.wrappers.open_webui": (
            *_EVENTS,
            "MessageEventData",
            "OpenWebUIEvent",
            "create_chat_completion_event",
            "create_details_tag",
            "create_message_event",
            "create_replace_event",
            "create_source_event",
        )
    },
    "hayhooks.server": {},
    "hayhooks.server.app": {"hayserve": ("create_app", "run_app")},
    "hayhooks.server.logger": {"hayserve": ("log",)},
    "hayhooks.server.pipelines": {},
    "hayhooks.server.pipelines.sse": {"hayserve": ("SSEStream",)},
    "hayhooks.server.pipelines.streaming": _STREAMING,
    "hayhooks.server.pipelines.utils": {
        **_STREAMING,
        "hayserve.wrappers.inputs": ("coerce_pipeline_inputs",),
        "hayserve.wrappers.messages": ("get_content", *_MESSAGES),
    },
    "hayhooks.server.tracing": {
        "hayserve.compat.tracing": ("build_trace_tags", "trace_operation"),
    },
    "hayhooks.server.utils": {},
    "hayhooks.server.utils.base_pipeline_wrapper": {"hayserve": ("BasePipelineWrapper",)},
    "hayhooks.server.utils.haystack_compat": {"hayserve": ("AsyncPipeline", "Pipeline")},
    "hayhooks.server.utils.yaml_pipeline_wrapper": {"hayserve": ("YAMLPipelineWrapper",)},
    "hayhooks.settings": {},
}

HOMES: Mapping[str, Mapping[str, str]] = {
    module: {name: home for home, names in homes.items() for name in names}
    for module, homes in _MODULES.items()
}


def explain_missing(name: str) -> str:
    """What to tell a wrapper that imports the Hayhooks module or name `name`, which is not here."""
    if DURABLE.intersection(name.split(".")):
        return f"{name!r} is not here: this version of hayserve serves no durable runs."
    return (
        f"{name!r} is not here: hayserve stands in for the public names of Hayhooks and for the "
        "modules that wrappers import from, which docs/compatibility.md lists."
    )
