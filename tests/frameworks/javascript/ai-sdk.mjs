// Vercel's AI SDK with its default OpenAI provider, which speaks the Responses API: a loop of two
// steps, in which the second names the items of the first by their ids.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { DESCRIPTION, MODEL, PARAMETERS, QUESTION, WEATHER, errorOf, tell, url } from "./shared.mjs";

const bodies = [];
const provider = createOpenAI({
  baseURL: `${url}/v1`,
  apiKey: "none",
  fetch: (address, request) => {
    bodies.push(JSON.parse(request.body));
    return fetch(address, request);
  },
});
const asked = { model: provider(MODEL), messages: QUESTION, temperature: 0, maxRetries: 0 };
const weather = tool({
  description: DESCRIPTION,
  inputSchema: jsonSchema(PARAMETERS),
  execute: async ({ city }) => `It is sunny in ${city}.`,
});
const loop = { ...asked, messages: WEATHER, tools: { get_weather: weather }, stopWhen: stepCountIs(2) };

const whole = await generateText(asked);
let streamed = "";
for await (const piece of streamText(asked).textStream) {
  streamed += piece;
}
bodies.length = 0;
const looped = await generateText(loop);
const streamedLoop = streamText(loop);
await streamedLoop.consumeStream();

tell({
  whole: whole.text,
  streamed,
  calls: looped.steps[0].toolCalls.map(({ toolName, input }) => ({ name: toolName, arguments: input })),
  missing: await errorOf(() => generateText({ ...asked, model: provider("absent") })),
  steps: [looped.steps.length, (await streamedLoop.steps).length],
  references: bodies.map(({ input }) => input.filter(({ type }) => type === "item_reference").length),
});
