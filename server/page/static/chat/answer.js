// Answers: the request of a conversation, and the stream that becomes its last message.
//
// An answer goes on while the person looks at another view or another conversation.

import { stream } from "../api/client.js";
import { notify } from "../lib/dialog.js";
import { errorText } from "../lib/errors.js";
import { t } from "../lib/i18n.js";
import { saveConversation } from "./conversations.js";

/** @typedef {import("./conversations.js").Conversation} Conversation */
/** @typedef {import("./conversations.js").ChatMessage} ChatMessage */
/** @typedef {import("../api/types.js").ChatEvent} ChatEvent */
/** @typedef {{conversation: Conversation, message: ChatMessage, started: number,
 *   progress: {phase: string, ratio?: number} | null, controller: AbortController, isForgotten: boolean}} Answering */

/** @type {Map<string, Answering>} */
const running = new Map();
let isWarned = false;
/** @type {Set<(id: string) => void>} */
const listeners = new Set();

/**
 * Return the answer that is being generated for a conversation.
 * @param {string} id
 */
export function answering(id) {
  return running.get(id);
}

/** Return whether any answer is being generated. */
export function isAnswering() {
  return running.size > 0;
}

/**
 * Call `listener` with the id of a conversation whenever its answer has grown or ended.
 * @param {(id: string) => void} listener
 * @param {AbortSignal} signal
 */
export function onAnswer(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener));
}

/** @param {string} id */
function changed(id) {
  for (const listener of listeners) listener(id);
}

/** @param {string} id of a conversation, whose answer stays as it is */
export function stopAnswer(id) {
  running.get(id)?.controller.abort();
}

/** @param {string} id of a conversation that is deleted, and not to be saved again */
export function forgetAnswer(id) {
  const run = running.get(id);
  if (!run) return;
  run.isForgotten = true;
  run.controller.abort();
}

/**
 * Let the model answer the conversation; the promise is kept when the answer has ended, however.
 * @param {Conversation} conversation
 */
export async function answer(conversation) {
  const { id } = conversation;
  const body = requestBody(conversation);
  /** @type {ChatMessage} */
  const message = { role: "assistant", content: "", model: conversation.model };
  conversation.messages.push(message);
  const controller = new AbortController();
  /** @type {Answering} */
  const run = {
    conversation,
    message,
    started: performance.now(),
    progress: null,
    controller,
    isForgotten: false,
  };
  running.set(id, run);
  changed(id);
  await save(conversation);
  try {
    await receive(run, body);
  } catch (error) {
    if (controller.signal.aborted) message.isStopped = true;
    else message.error = errorText(error);
  }
  running.delete(id);
  conversation.updated = Date.now();
  changed(id);
  if (!run.isForgotten) await save(conversation);
}

/** @param {Conversation} conversation */
async function save(conversation) {
  if ((await saveConversation(conversation)) || isWarned) return;
  isWarned = true;
  notify(t("notKept"), "error");
}

/**
 * @param {Answering} run
 * @param {object} body
 */
async function receive(run, body) {
  const { conversation, message, started, controller } = run;
  let firstToken = 0;
  let thoughtFrom = 0;
  /** @type {AsyncGenerator<ChatEvent, void, void>} */
  const events = stream("api/chat", body, controller.signal);
  for await (const event of events) {
    const now = performance.now();
    const part = event.message;
    run.progress = event.progress ?? null;
    if (part?.content || part?.thinking || part?.tool_calls) firstToken ||= (now - started) / 1000;
    if (part?.thinking) {
      thoughtFrom ||= now;
      message.thinking = (message.thinking ?? "") + part.thinking;
    }
    if (thoughtFrom && !message.content) message.thinkingSeconds = (now - thoughtFrom) / 1000;
    if (part?.content) message.content += part.content;
    if (part?.tool_calls) message.toolCalls = [...(message.toolCalls ?? []), ...part.tool_calls];
    if (event.done) message.stats = statsOf(event, firstToken);
    changed(conversation.id);
  }
}

/**
 * @param {ChatEvent} event the last one
 * @param {number} firstToken
 */
function statsOf(event, firstToken) {
  const tokens = event.eval_count ?? 0;
  return {
    tokens,
    rate: event.eval_duration ? tokens / (event.eval_duration / 1e9) : 0,
    promptTokens: event.prompt_eval_count ?? 0,
    firstToken,
    droppedTokens: event.prompt_tokens_dropped ?? 0,
    reason: event.done_reason ?? "",
  };
}

/** @param {Conversation} conversation */
function requestBody({ model, settings, messages }) {
  const system = settings.system.trim() ? [{ role: "system", content: settings.system }] : [];
  /** @type {Record<string, unknown>} */
  const body = {
    model,
    messages: [...system, ...messages.filter(isSent).map(sentMessage)],
    stream: true,
    progress: true,
  };
  if (Object.keys(settings.options).length > 0) body.options = settings.options;
  if (settings.think) body.think = parsed(settings.think) ?? settings.think;
  if (settings.format === "json") body.format = "json";
  if (settings.format === "schema") body.format = parsed(settings.schema);
  const tools = parsed(settings.tools);
  if (Array.isArray(tools) && tools.length > 0) body.tools = tools;
  return body;
}

/**
 * A failed answer without a word is no part of the conversation.
 * @param {ChatMessage} message
 */
function isSent(message) {
  return message.role !== "assistant" || message.content || message.thinking || message.toolCalls;
}

/** @param {ChatMessage} message */
function sentMessage(message) {
  const attachments = message.attachments ?? [];
  const texts = attachments
    .filter(({ kind }) => kind === "text")
    .map(({ name, data }) => fenced(name, data));
  const media = attachments.filter(({ kind }) => kind !== "text").map(({ data }) => data);
  /** @type {Record<string, unknown>} */
  const sent = { role: message.role, content: [...texts, message.content].join("\n\n") };
  if (media.length > 0) sent.images = media;
  if (message.thinking) sent.thinking = message.thinking;
  if (message.toolCalls) sent.tool_calls = message.toolCalls;
  if (message.toolName) sent.tool_name = message.toolName;
  if (message.toolCallId) sent.tool_call_id = message.toolCallId;
  return sent;
}

/**
 * Return a file as a block of code, in a fence that it does not contain.
 * @param {string} name
 * @param {string} text
 */
function fenced(name, text) {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${name}:\n${fence}\n${text}\n${fence}`;
}

/**
 * Return the value of a text of JSON, undefined if it is none.
 * @param {string} text
 * @returns {unknown}
 */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
