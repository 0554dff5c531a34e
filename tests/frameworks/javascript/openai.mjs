import OpenAI from "openai";
import { FUNCTION_TOOL, MODEL, QUESTION, WEATHER, errorOf, tell, url } from "./shared.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
const asked = { model: MODEL, messages: QUESTION, reasoning_effort: "none", temperature: 0 };
const { completions } = client.chat;

const whole = await completions.create(asked);
let streamed = "";
for await (const part of await completions.create({ ...asked, stream: true })) {
  streamed += part.choices[0]?.delta?.content ?? "";
}
const tooled = await completions.create({ ...asked, messages: WEATHER, tools: [FUNCTION_TOOL] });

tell({
  whole: whole.choices[0].message.content,
  streamed,
  calls: tooled.choices[0].message.tool_calls.map((call) => ({
    name: call.function.name,
    arguments: JSON.parse(call.function.arguments),
  })),
  missing: await errorOf(() => completions.create({ ...asked, model: "absent" })),
});
