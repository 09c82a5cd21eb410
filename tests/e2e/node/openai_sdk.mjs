// Drives the official OpenAI SDK for Node; prints what it saw as JSON.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "Hello" }];

async function plain(model) {
  const completion = await client.chat.completions.create({ model, messages });
  const choice = completion.choices[0];
  return {
    text: choice.message.content,
    finish: choice.finish_reason,
    tools: choice.message.tool_calls ?? null,
    tokens: completion.usage.total_tokens,
  };
}

async function streamed(model) {
  const stream_options = { include_usage: true };
  const stream = await client.chat.completions.create({ model, messages, stream: true, stream_options });
  const seen = { text: "", roles: [], finishes: [], tools: [], tokens: null };
  for await (const chunk of stream) {
    seen.tokens = chunk.usage?.total_tokens ?? seen.tokens;
    for (const { delta, finish_reason } of chunk.choices) {
      seen.text += delta.content ?? "";
      if (delta.role) seen.roles.push(delta.role);
      if (finish_reason) seen.finishes.push(finish_reason);
      seen.tools.push(...(delta.tool_calls ?? []));
    }
  }
  return seen;
}

async function helped(model) {
  const final = await client.chat.completions.stream({ model, messages }).finalChatCompletion();
  const { message, finish_reason } = final.choices[0];
  return { text: message.content, role: message.role, finish: finish_reason };
}

async function toolLoop(model) {
  const weather = {
    name: "weather",
    description: "Says how the weather is.",
    parameters: { type: "object", properties: { city: { type: "string" } } },
    parse: JSON.parse,
    function: ({ city }) => `sunny in ${city}`,
  };
  const tools = [{ type: "function", function: weather }];
  const run = (stream) => client.chat.completions.runTools({ model, messages, tools, stream });
  return [await run(false).finalContent(), await run(true).finalContent()];
}

async function failure(attempt) {
  try {
    return { unexpected: await attempt() };
  } catch (error) {
    return { name: error.constructor.name, status: error.status ?? null, message: error.message };
  }
}

const result = { models: (await client.models.list()).data.map((model) => model.id) };
result.retrieved = (await client.models.retrieve("plain")).id;
for (const model of ["plain", "generator", "agent", "reasoning", "events"]) {
  result[model] = {
    plain: await plain(model),
    streamed: await streamed(model),
    helped: await helped(model),
  };
}
result.toolLoop = await toolLoop("client_tool");
result.failures = {
  unknownModel: await failure(() => client.models.retrieve("nobody")),
  unknown: await failure(() => plain("nobody")),
  refused: await failure(() => plain("refusing")),
  failed: await failure(() => plain("failing")),
  failedInTheMiddle: await failure(() => streamed("failing")),
  failedInTheMiddleHelped: await failure(() => helped("failing")),
};
console.log(JSON.stringify(result));
