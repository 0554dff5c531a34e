// Markdown as DOM nodes. Only elements and attributes that are named here can come out of it.

import { copyButton } from "../lib/dialog.js";
import { append, h } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { parseBlocks } from "./blocks.js";
import { highlight } from "./highlight.js";
import { parseInline } from "./inline.js";

/** @typedef {import("./blocks.js").Block} Block */
/** @typedef {import("./inline.js").Inline} Inline */

/**
 * An element that shows a text that grows: blocks that stay the same keep their nodes, so that a
 * selection in them lasts and long answers stay cheap.
 */
export class MarkdownView {
  constructor() {
    this.element = h("div", { class: "markdown" });
    /** @type {string[]} */
    this.sources = [];
  }

  /** @param {string} text all of it */
  update(text) {
    const blocks = parseBlocks(text);
    let same = 0;
    while (same < blocks.length && this.sources[same] === blocks[same].source) same += 1;
    while (this.element.children.length > same) this.element.lastElementChild?.remove();
    for (const { block } of blocks.slice(same)) this.element.append(renderBlock(block));
    this.sources = blocks.map(({ source }) => source);
  }
}

/**
 * @param {Block} block
 * @returns {HTMLElement}
 */
function renderBlock(block) {
  switch (block.type) {
    case "paragraph":
      return h("p", null, renderInline(block.text));
    case "heading":
      return h(headingTag(block.level), null, renderInline(block.text));
    case "rule":
      return h("hr", null);
    case "quote":
      return h("blockquote", null, block.blocks.map(renderBlock));
    case "code":
      return codeBlock(block.text, block.language);
    case "list":
      return list(block);
    case "table":
      return table(block);
  }
}

/**
 * Headings of an answer are below those of the page.
 * @param {number} level
 */
function headingTag(level) {
  return /** @type {const} */ (["h3", "h4", "h5", "h6"])[Math.min(level, 4) - 1];
}

/**
 * Code with its language and a button that copies it.
 * @param {string} text
 * @param {string} language
 */
export function codeBlock(text, language) {
  const code = h("code", null);
  append(code, highlight(text, language));
  return h(
    "div",
    { class: language ? "code" : "code plain" },
    h(
      "div",
      { class: "code-head" },
      h("span", null, language),
      copyButton(() => text, t("copyCode")),
    ),
    h("pre", { tabindex: "0", role: "region", "aria-label": language || t("code") }, code),
  );
}

/** @param {Extract<Block, {type: "list"}>} block */
function list(block) {
  const items = block.items.map(({ checked, blocks }) => {
    const content = blocks.map(renderBlock);
    const box =
      checked === null
        ? null
        : h("input", { type: "checkbox", disabled: true, checked, "aria-label": t("task") });
    // An item of one paragraph is set tight.
    const first = content[0];
    const isTight =
      first?.tagName === "P" && content.slice(1).every((node) => /^[OU]L$/.test(node.tagName));
    const nodes = isTight ? [...first.childNodes, ...content.slice(1)] : content;
    return h("li", { class: box ? "task" : null }, box, nodes);
  });
  if (!block.ordered) return h("ul", null, items);
  return h("ol", { start: block.start === 1 ? null : block.start }, items);
}

/** @param {Extract<Block, {type: "table"}>} block */
function table(block) {
  const row = (/** @type {"th" | "td"} */ tag, /** @type {string[]} */ texts) =>
    h(
      "tr",
      null,
      texts.map((text, i) => h(tag, { class: alignClass(block.align[i]) }, renderInline(text))),
    );
  const content = h(
    "table",
    null,
    h("thead", null, row("th", block.head)),
    h(
      "tbody",
      null,
      block.rows.map((texts) => row("td", texts)),
    ),
  );
  return h(
    "div",
    { class: "table", tabindex: "0", role: "region", "aria-label": t("table") },
    content,
  );
}

/** @param {string} align */
function alignClass(align) {
  return align ? `align-${align}` : null;
}

/**
 * @param {string} text
 * @returns {Node[]}
 */
function renderInline(text) {
  return parseInline(text).map(inlineNode);
}

/**
 * @param {Inline} node
 * @returns {Node}
 */
function inlineNode(node) {
  switch (node.type) {
    case "text":
      return document.createTextNode(node.text);
    case "code":
      return h("code", null, node.text);
    case "break":
      return h("br", null);
    case "link":
      return h(
        "a",
        { href: node.url, target: "_blank", rel: "noopener noreferrer nofollow", title: node.url },
        node.children.map(inlineNode),
      );
    default:
      return h(node.type, null, node.children.map(inlineNode));
  }
}
