// Drives Vercel's AI SDK; prints what it saw as JSON.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

const provider = createOpenAICompatible({
  name: "hayserve",
  baseURL: `${process.argv[2]}/v1`,
  includeUsage: true,
});
const common = { prompt: "Hello", maxRetries: 0 };

async function plain(name) {
  const result = await generateText({ model: provider(name), ...common });
  return {
    text: result.text,
    reasoning: result.reasoningText ?? null,
    finish: result.finishReason,
    tools: result.toolCalls.length,
    tokens: result.usage.totalTokens,
  };
}

async function streamed(name) {
  const errors = [];
  const onError = ({ error }) => void errors.push(error.message ?? String(error));
  const result = streamText({ model: provider(name), ...common, onError });
  const seen = { text: "", reasoning: "", finishes: [], tools: 0, tokens: null };
  for await (const part of result.fullStream) {
    if (part.type === "text-delta") seen.text += part.text;
    if (part.type === "reasoning-delta") seen.reasoning += part.text;
    if (part.type === "tool-call") seen.tools += 1;
    if (part.type === "finish") {
      seen.finishes.push(part.finishReason);
      seen.tokens = part.totalUsage.totalTokens;
    }
  }
  return { ...seen, errors };
}

async function toolLoop(name) {
  const inputSchema = jsonSchema({ type: "object", properties: { city: { type: "string" } } });
  const execute = async ({ city }) => `sunny in ${city}`;
  const tools = { weather: tool({ description: "The weather.", inputSchema, execute }) };
  const options = { model: provider(name), ...common, tools, stopWhen: stepCountIs(3) };
  return [(await generateText(options)).text, await streamText(options).text];
}

async function failure(attempt) {
  try {
    return { unexpected: await attempt() };
  } catch (error) {
    return { name: error.name, status: error.statusCode ?? null, message: error.message };
  }
}

const result = {};
for (const name of ["plain", "generator", "agent", "reasoning", "events"]) {
  result[name] = { plain: await plain(name), streamed: await streamed(name) };
}
result.toolLoop = await toolLoop("client_tool");
result.failures = {
  unknown: await failure(() => plain("nobody")),
  refused: await failure(() => plain("refusing")),
  failed: await failure(() => plain("failing")),
  failedInTheMiddle: await streamed("failing"),
};
console.log(JSON.stringify(result));
