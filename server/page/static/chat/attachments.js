// Attachments: files that were chosen, dropped or pasted, read for a message.

import { iconButton } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { size } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";

/** @typedef {import("./conversations.js").Attachment} Attachment */

const MAX_BYTES = 30_000_000;
const MAX_TEXT_BYTES = 1_000_000;

/** A file that cannot be attached; the message says why. */
export class AttachmentError extends Error {}

/**
 * Read a file.
 * @param {File} file
 * @returns {Promise<Attachment>}
 * @throws {AttachmentError}
 */
export async function readAttachment(file) {
  const { name, type } = file;
  const kind = type.startsWith("image/") ? "image" : type.startsWith("audio/") ? "audio" : "text";
  const limit = kind === "text" ? MAX_TEXT_BYTES : MAX_BYTES;
  if (file.size > limit) throw new AttachmentError(t("fileTooLarge", { name, size: size(limit) }));
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (kind !== "text") return { name, type, kind, data: base64(bytes) };
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (text.includes("\u0000")) throw new TypeError();
    return { name, type: "text/plain", kind, data: text };
  } catch {
    throw new AttachmentError(t("fileUnreadable", { name }));
  }
}

/** @param {Uint8Array} bytes */
function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000)
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/**
 * An attachment as it is seen in a message; with `remove`, with a button that takes it away.
 * @param {Attachment} attachment
 * @param {() => void} [remove]
 */
export function attachmentView(attachment, remove) {
  const { name, type, kind, data } = attachment;
  const url = `data:${/^(image|audio)\/[\w.+-]+$/.test(type) ? type : "application/octet-stream"};base64,${data}`;
  /** @type {HTMLElement} */
  let content;
  if (kind === "image") content = h("img", { src: url, alt: name });
  else if (kind === "audio") content = h("audio", { src: url, controls: true, "aria-label": name });
  else content = h("span", { class: "file" }, icon("attach"), name);
  const button = remove && iconButton("close", t("removeFile", { name }), remove);
  return h("div", { class: `attachment ${kind}` }, content, button);
}
