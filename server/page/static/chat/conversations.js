// Conversations, kept by the browser in IndexedDB; in memory where it keeps nothing.

/** @typedef {"image" | "audio" | "text"} AttachmentKind */
/** @typedef {{name: string, type: string, kind: AttachmentKind, data: string}} Attachment `data` is base64, or a text */
/** @typedef {import("../api/types.js").ToolCall} ToolCall */
/**
 * @typedef {object} Stats
 * @property {number} tokens of the answer
 * @property {number} rate tokens per second
 * @property {number} promptTokens
 * @property {number} firstToken seconds until the answer began
 * @property {number} droppedTokens of the prompt, which did not fit the context
 * @property {string} reason why the answer ended
 */
/**
 * @typedef {object} ChatMessage
 * @property {"user" | "assistant" | "tool"} role
 * @property {string} content
 * @property {string} [model] that answered
 * @property {string} [thinking]
 * @property {number} [thinkingSeconds]
 * @property {ToolCall[]} [toolCalls]
 * @property {string} [toolName]
 * @property {string} [toolCallId]
 * @property {Attachment[]} [attachments]
 * @property {Stats} [stats]
 * @property {string} [error]
 * @property {boolean} [isStopped]
 */
/**
 * @typedef {object} ChatSettings
 * @property {string} system
 * @property {Record<string, number>} options
 * @property {string} think "", "true", "false" or a level
 * @property {"" | "json" | "schema"} format
 * @property {string} schema
 * @property {string} tools a list in JSON
 */
/**
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string} title
 * @property {string} model
 * @property {number} updated in milliseconds since 1970
 * @property {ChatSettings} settings
 * @property {ChatMessage[]} messages
 */
/** @typedef {Pick<Conversation, "id" | "title" | "updated">} Summary */

const SUMMARIES = "summaries";
const CONVERSATIONS = "conversations";
const channel =
  "BroadcastChannel" in globalThis ? new BroadcastChannel("paddock.conversations") : null;
/** @type {Map<string, Conversation>} */
const memory = new Map();
/** @type {Promise<IDBDatabase | null> | null} */
let opening = null;

/**
 * Call `listener` when another tab has changed the conversations.
 * @param {() => void} listener
 * @param {AbortSignal} signal
 */
export function onOtherTabs(listener, signal) {
  channel?.addEventListener("message", listener, { signal });
}

/** @returns {Conversation} an empty one */
export function newConversation(model = "") {
  const id = [...crypto.getRandomValues(new Uint8Array(9))]
    .map((byte) => byte.toString(36).padStart(2, "0"))
    .join("");
  const settings = {
    system: "",
    options: {},
    think: "",
    format: /** @type {const} */ (""),
    schema: "",
    tools: "",
  };
  return { id, title: "", model, updated: Date.now(), settings, messages: [] };
}

/** @returns {Promise<Summary[]>} all conversations, the latest first */
export async function listConversations() {
  const database = await open();
  /** @type {Summary[]} */
  const kept = database
    ? await result(database.transaction(SUMMARIES).objectStore(SUMMARIES).getAll())
    : [];
  const summaries = [...kept.filter(({ id }) => !memory.has(id)), ...memory.values()];
  return summaries.sort((a, b) => b.updated - a.updated);
}

/**
 * @param {string} id
 * @returns {Promise<Conversation | undefined>}
 */
export async function loadConversation(id) {
  const database = await open();
  if (!database || memory.has(id)) return memory.get(id);
  return result(database.transaction(CONVERSATIONS).objectStore(CONVERSATIONS).get(id));
}

/**
 * Return whether the browser keeps the conversation; else it lasts as long as the page.
 * @param {Conversation} conversation
 */
export async function saveConversation(conversation) {
  const { id, title, updated } = conversation;
  try {
    await change((stores) => {
      stores[0].put({ id, title, updated });
      stores[1].put(conversation);
    });
    memory.delete(id);
    return (await open()) !== null || keepInMemory(conversation);
  } catch {
    return keepInMemory(conversation);
  }
}

/** @param {Conversation} conversation */
function keepInMemory(conversation) {
  memory.set(conversation.id, conversation);
  return false;
}

/** @param {string} id */
export async function deleteConversation(id) {
  await change((stores) => {
    for (const store of stores) store.delete(id);
  });
  memory.delete(id);
}

/** @param {(stores: IDBObjectStore[]) => void} work */
async function change(work) {
  const database = await open();
  if (database) {
    const names = [SUMMARIES, CONVERSATIONS];
    const transaction = database.transaction(names, "readwrite");
    work(names.map((name) => transaction.objectStore(name)));
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  }
  channel?.postMessage("changed");
}

/** @returns {Promise<IDBDatabase | null>} null where the browser keeps nothing */
function open() {
  opening ??= new Promise((resolve) => {
    try {
      const request = indexedDB.open("paddock", 1);
      request.onupgradeneeded = () => {
        for (const name of [SUMMARIES, CONVERSATIONS])
          request.result.createObjectStore(name, { keyPath: "id" });
      };
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
  return opening;
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
