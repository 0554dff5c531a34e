// Messages of a conversation: what was said, thought and called, and what can be done about it.

import { button, copyButton, field, iconButton } from "../lib/dialog.js";
import { fill, h, uniqueId } from "../lib/dom.js";
import { duration, number } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";
import { codeBlock, MarkdownView } from "../markdown/render.js";
import { shortName } from "../models/catalog.js";
import { attachmentView } from "./attachments.js";

/** @typedef {import("./conversations.js").ChatMessage} ChatMessage */
/** @typedef {{phase: string, ratio?: number}} Progress */
/**
 * @typedef {object} MessageActions
 * @property {() => void} regenerate
 * @property {(text: string) => void} edit
 * @property {(results: string[]) => void} answerCalls with one text for each call
 */

/** The element of one message, which can be updated while its answer grows. */
export class MessageView {
  /**
   * @param {ChatMessage} message
   * @param {MessageActions} actions
   */
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    const name = {
      user: t("you"),
      assistant: message.model ? shortName(message.model) : t("assistant"),
      tool: message.toolName || t("tool"),
    }[message.role];
    this.body = h("div", { class: "message-body" });
    this.tools = h("div", { class: "message-tools" });
    this.element = h(
      "article",
      { class: `message ${message.role}`, "aria-label": name },
      message.role === "user"
        ? null
        : h("div", { class: "message-name" }, message.role === "tool" && icon("tool"), name),
      this.body,
      this.tools,
    );
    this.markdown = new MarkdownView();
    this.thinking = new MarkdownView();
    this.thinkingLabel = h("span", null);
    this.details = h(
      "details",
      { class: "thinking" },
      h("summary", null, this.thinkingLabel),
      this.thinking.element,
    );
    this.calls = h("div", { class: "calls" });
    this.state = h("div", { class: "message-state" });
    this.nCalls = -1;
    this.build();
  }

  build() {
    const { message, body } = this;
    if (message.role === "assistant") {
      fill(body, this.details, this.markdown.element, this.calls, this.state);
    } else if (message.role === "tool") {
      fill(body, codeBlock(message.content, ""));
    } else {
      fill(
        body,
        message.attachments &&
          h(
            "div",
            { class: "attachments" },
            message.attachments.map((each) => attachmentView(each)),
          ),
        message.content && h("div", { class: "said" }, message.content),
      );
    }
  }

  /**
   * Show the message as it is now.
   * @param {{isGrowing: boolean, isLast: boolean, waited?: number, progress?: Progress | null}} state
   */
  update({ isGrowing, isLast, waited = 0, progress = null }) {
    const { message } = this;
    this.element.classList.toggle("growing", isGrowing);
    if (message.role === "assistant") {
      this.updateThinking(isGrowing);
      this.markdown.update(message.content);
      this.updateCalls(isLast && !isGrowing);
      this.updateState(isGrowing, waited, progress);
    }
    fill(this.tools, ...(isGrowing ? [] : this.buttons(isLast)));
  }

  /** @param {boolean} isGrowing */
  updateThinking(isGrowing) {
    const { thinking, thinkingSeconds, content } = this.message;
    this.details.hidden = !thinking;
    if (!thinking) return;
    const isThinking = isGrowing && !content;
    this.details.classList.toggle("active", isThinking);
    this.thinkingLabel.textContent = isThinking ? t("thinking") : thoughtText(thinkingSeconds ?? 0);
    this.thinking.update(thinking);
  }

  /** @param {boolean} canAnswer */
  updateCalls(canAnswer) {
    const calls = this.message.toolCalls ?? [];
    const state = calls.length * 2 + Number(canAnswer);
    if (this.nCalls === state) return;
    this.nCalls = state;
    fill(
      this.calls,
      ...calls.map(callView),
      calls.length > 0 && canAnswer && this.resultForm(calls),
    );
  }

  /**
   * A form for what the tools returned: nothing calls them but the person.
   * @param {import("../api/types.js").ToolCall[]} calls
   */
  resultForm(calls) {
    const inputs = calls.map(() => h("textarea", { rows: "2", spellcheck: "false" }));
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      this.actions.answerCalls(inputs.map((input) => input.value));
    };
    return h(
      "form",
      { class: "results", on: { submit } },
      ...calls.map((call, i) => field(t("toolResult", { name: call.function.name }), inputs[i])),
      h("div", { class: "dialog-actions" }, h("button", { class: "button" }, t("sendResults"))),
    );
  }

  /**
   * @param {boolean} isGrowing
   * @param {number} waited
   * @param {Progress | null} progress
   */
  updateState(isGrowing, waited, progress) {
    const { message, state } = this;
    if (isGrowing && !message.content && !message.thinking && !message.toolCalls) {
      fill(state, waitingView(waited, progress));
    } else if (message.error) {
      fill(
        state,
        h(
          "div",
          { class: "error", role: "alert" },
          icon("warning"),
          h("span", null, message.error),
        ),
      );
    } else {
      fill(state);
    }
  }

  /** @param {boolean} isLast */
  buttons(isLast) {
    const { message, actions } = this;
    const copy = message.content && copyButton(() => message.content);
    if (message.role === "user")
      return [iconButton("edit", t("edit"), () => this.edit()), copy || null];
    if (message.role !== "assistant") return [];
    return [
      copy || null,
      isLast ? iconButton("repeat", t("regenerate"), actions.regenerate) : null,
      h("span", { class: "stats" }, statsText(message)),
    ];
  }

  /** Let the person change what they said; what followed is then replaced. */
  edit() {
    const id = uniqueId("edit");
    const input = h("textarea", { id, class: "edit", "aria-label": t("editMessage") });
    input.value = this.message.content;
    const cancel = () => {
      this.build();
      fill(this.tools, ...this.buttons(false));
    };
    const send = () => this.actions.edit(input.value.trim());
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") cancel();
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        send();
      }
    });
    fill(
      this.body,
      input,
      h(
        "div",
        { class: "dialog-actions" },
        button(t("cancel"), cancel),
        button(t("send"), send, { class: "button primary" }),
      ),
    );
    fill(this.tools);
    input.style.height = `${Math.min(input.scrollHeight + 4, 400)}px`;
    input.focus();
  }
}

/**
 * What the model is doing before its first word.
 * @param {number} waited in seconds
 * @param {Progress | null} progress
 */
function waitingView(waited, progress) {
  if (progress?.ratio !== undefined && waited >= 1) {
    const text = t(progress.phase === "loading" ? "loadingModel" : "readingPrompt");
    const bar = h("progress", { max: 1, value: progress.ratio, "aria-label": text });
    return h("div", { class: "waiting" }, h("span", null, text), bar);
  }
  const dots = [0, 1, 2].map(() => h("i", null));
  const text = waited < 1 ? "" : t("waiting", { time: duration(Math.floor(waited)) });
  return h(
    "div",
    { class: "waiting" },
    h("span", { class: "dots", "aria-hidden": "true" }, dots),
    text,
  );
}

/** @param {import("../api/types.js").ToolCall} call */
function callView(call) {
  const title = h("div", { class: "call-name" }, icon("tool"), h("code", null, call.function.name));
  return h(
    "div",
    { class: "call" },
    title,
    codeBlock(JSON.stringify(call.function.arguments, null, 2), "json"),
  );
}

/** @param {number} seconds */
function thoughtText(seconds) {
  return seconds < 0.1 ? t("thought") : t("thoughtFor", { time: duration(seconds) });
}

/** @param {ChatMessage} message */
function statsText({ stats, isStopped }) {
  const parts = [];
  if (isStopped) parts.push(t("stopped"));
  if (stats) {
    if (stats.rate) parts.push(t("rate", { rate: number(stats.rate, stats.rate < 10 ? 1 : 0) }));
    parts.push(
      t("tokenCounts", { prompt: number(stats.promptTokens), answer: number(stats.tokens) }),
    );
    if (stats.firstToken >= 0.05) parts.push(t("firstToken", { time: duration(stats.firstToken) }));
    if (stats.reason === "length") parts.push(t("cutByLength"));
    if (stats.reason === "repeat") parts.push(t("cutByRepetition"));
    if (stats.droppedTokens) parts.push(t("dropped", { count: number(stats.droppedTokens) }));
  }
  return parts.join(" · ");
}
