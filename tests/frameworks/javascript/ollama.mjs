import { Ollama } from "ollama";
import { FUNCTION_TOOL, MODEL, QUESTION, WEATHER, errorOf, tell, url } from "./shared.mjs";

const client = new Ollama({ host: url });
const asked = { model: MODEL, messages: QUESTION, think: false, options: { temperature: 0 } };

const whole = await client.chat(asked);
let streamed = "";
for await (const part of await client.chat({ ...asked, stream: true })) {
  streamed += part.message.content;
}
const tooled = await client.chat({ ...asked, messages: WEATHER, tools: [FUNCTION_TOOL] });

tell({
  whole: whole.message.content,
  streamed,
  calls: tooled.message.tool_calls.map((call) => ({
    name: call.function.name,
    arguments: call.function.arguments,
  })),
  missing: await errorOf(() => client.chat({ ...asked, model: "absent" })),
});
