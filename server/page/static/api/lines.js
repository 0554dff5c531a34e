// Lines of a streamed reply.

/**
 * Yield the lines of a stream of bytes, without empty ones; ending the loop early cancels it.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<string, void, void>}
 */
export async function* lines(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += decoder.decode(value, { stream: !done });
      const whole = rest.split("\n");
      rest = done ? "" : (whole.pop() ?? "");
      yield* whole.filter((line) => line.trim());
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
