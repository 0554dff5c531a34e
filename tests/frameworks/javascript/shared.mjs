// What the scripts of all packages ask.

export const MODEL = "paddock";
export const QUESTION = [{ role: "user", content: "How do I pull a model?" }];
export const WEATHER = [{ role: "user", content: "What is the weather in Paris?" }];
export const PARAMETERS = {
  type: "object",
  properties: { city: { type: "string", description: "The city" } },
  required: ["city"],
};
export const DESCRIPTION = "Get the weather of a city.";
export const FUNCTION_TOOL = {
  type: "function",
  function: { name: "get_weather", description: DESCRIPTION, parameters: PARAMETERS },
};
export const url = process.argv[2];

// The message of the error that `call` ends with.
export async function errorOf(call) {
  try {
    await call();
  } catch (error) {
    return error.message;
  }
  throw new Error("no error was thrown");
}

export function tell(found) {
  console.log(JSON.stringify(found));
}
