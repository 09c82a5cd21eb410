"""For tests of wrappers: the server in the test's process, and a model that says what it is told.

```python
from hayserve.testing import ScriptedChatGenerator, serve
from haystack.components.agents import Agent

agent = Agent(chat_generator=ScriptedChatGenerator(["Hello!"]))
with serve(greeter=agent) as client:
    assert client.chat("greeter", "Hi").text == "Hello!"
```
"""

from hayserve.testing.client import Answer, Client, serve
from hayserve.testing.scripted import Reply, ScriptedChatGenerator, ScriptEnded

__all__ = ["Answer", "Client", "Reply", "ScriptEnded", "ScriptedChatGenerator", "serve"]
