// Requests to the server that this page came from, with the API key if it wants one.

import { lines } from "./lines.js";

/** The root of the server, also where a proxy serves it below a path. */
const ROOT = new URL(".", document.baseURI);
const KEY = "paddock.key";

/**
 * A request that the server refused, or that could not be sent (`status` 0). The message is the
 * sentence of the server, "" without one.
 */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status
   * @param {Headers} [headers]
   */
  constructor(message, status, headers) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/**
 * What happens when the server asks for a key, or refuses the one that was sent: the promise is
 * whether there is another one to try now.
 * @type {(isRefused: boolean) => Promise<boolean>}
 */
let askForKey = async () => false;
/** @type {(reached: boolean) => void} */
let onReached = () => {};
/** The key where the browser keeps nothing. */
let key = "";

/** @param {{askForKey: typeof askForKey, onReached: typeof onReached}} handlers */
export function setHandlers(handlers) {
  askForKey = handlers.askForKey;
  onReached = handlers.onReached;
}

/** Return the API key of this session, "" without one. */
export function apiKey() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return key;
  }
}

/** @param {string} value the API key, kept until the tab is closed; "" forgets it */
export function setApiKey(value) {
  key = value;
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Kept in memory alone.
  }
}

/**
 * Return the URL of an endpoint.
 * @param {string} path such as "api/tags"
 */
export function endpoint(path) {
  return new URL(path, ROOT).href;
}

/** @returns {Record<string, string>} the headers that carry the API key */
export function keyHeaders() {
  const value = apiKey();
  return value ? { authorization: `Bearer ${value}` } : {};
}

/**
 * Send a request; the reply has a success status.
 * @param {string} path
 * @param {{method?: string, body?: unknown, signal?: AbortSignal, headers?: Record<string, string>}} [options]
 * @returns {Promise<Response>}
 * @throws {ApiError} for any other status, and when the server cannot be reached
 */
export async function send(path, options = {}) {
  const sentKey = apiKey();
  const response = await sent(path, options);
  if (response.ok) return response;
  // Meanwhile another request may have asked.
  const isAnswered = apiKey() !== sentKey;
  if (response.status === 401 && (isAnswered || (await askForKey(Boolean(sentKey))))) {
    return send(path, options);
  }
  throw await refusal(response);
}

/**
 * @param {string} path
 * @param {{method?: string, body?: unknown, signal?: AbortSignal, headers?: Record<string, string>}} options
 * @returns {Promise<Response>}
 */
async function sent(path, { method, body, signal, headers }) {
  const hasBody = body !== undefined;
  try {
    const response = await fetch(endpoint(path), {
      method: method ?? (hasBody ? "POST" : "GET"),
      headers: {
        ...keyHeaders(),
        ...(hasBody ? { "content-type": "application/json" } : {}),
        ...headers,
      },
      body: hasBody ? JSON.stringify(body) : undefined,
      signal,
      cache: "no-store",
    });
    onReached(true);
    return response;
  } catch (error) {
    throw unreached(error, signal);
  }
}

/**
 * @param {unknown} error
 * @param {AbortSignal} [signal]
 */
function unreached(error, signal) {
  if (signal?.aborted) return error;
  onReached(false);
  return new ApiError("", 0);
}

/**
 * Return the error of a refused request, in the server's own sentence.
 * @param {Response} response
 * @returns {Promise<ApiError>}
 */
async function refusal(response) {
  const text = await response.text().catch(() => "");
  let message = text;
  try {
    const { error } = JSON.parse(text);
    message = typeof error === "string" ? error : (error?.message ?? text);
  } catch {
    // Plain text.
  }
  return new ApiError(message, response.status, response.headers);
}

/**
 * Send a request and return the JSON of its reply.
 * @param {string} path
 * @param {{method?: string, body?: unknown, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export async function json(path, options) {
  const response = await send(path, options);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/**
 * Send a request and yield the objects of its reply, a line each. Ending the loop early ends the
 * request, and with it the work of the server.
 * @param {string} path
 * @param {unknown} body
 * @param {AbortSignal} [signal]
 * @returns {AsyncGenerator<any, void, void>}
 */
export async function* stream(path, body, signal) {
  const response = await send(path, { body, signal });
  if (!response.body) return;
  try {
    for await (const line of lines(response.body)) {
      const event = JSON.parse(line);
      if (event.error) throw new ApiError(event.error, response.status);
      yield event;
    }
  } catch (error) {
    throw error instanceof ApiError ? error : unreached(error, signal);
  }
}
