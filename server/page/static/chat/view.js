// The chat: conversations, the messages of one of them, and the composer.

import { announce, button, iconButton } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { errorText } from "../lib/errors.js";
import { t } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";
import { preference, setPreference } from "../lib/preferences.js";
import { canChat, installedModels, shortName } from "../models/catalog.js";
import { answer, answering, onAnswer, stopAnswer } from "./answer.js";
import { Composer } from "./composer.js";
import {
  loadConversation,
  newConversation,
  onOtherTabs,
  saveConversation,
} from "./conversations.js";
import { ConversationList } from "./list.js";
import { MessageView } from "./message.js";
import { openSettings } from "./settings.js";

/** @typedef {import("./conversations.js").Conversation} Conversation */
/** @typedef {import("./conversations.js").Attachment} Attachment */
/** @typedef {import("../api/types.js").InstalledModel} InstalledModel */

const GUIDE = "paddock:latest";
const TITLE_LENGTH = 60;

/**
 * Show the chat until `signal` is aborted.
 * @param {HTMLElement} root
 * @param {string} id of a conversation, "" for a new one
 * @param {AbortSignal} signal
 */
export async function chatView(root, id, signal) {
  const conversation = answering(id)?.conversation ?? (id ? await loadConversation(id) : undefined);
  if (id && !conversation) {
    location.replace("#/chat");
    return;
  }
  const view = new ChatView(conversation ?? newConversation(preference("model") ?? ""), signal);
  if (signal.aborted) return;
  fill(root, view.element);
  await view.start();
}

class ChatView {
  /**
   * @param {Conversation} conversation
   * @param {AbortSignal} signal
   */
  constructor(conversation, signal) {
    this.conversation = conversation;
    this.signal = signal;
    /** @type {InstalledModel[]} */
    this.models = [];
    /** @type {MessageView[]} */
    this.views = [];
    this.frame = 0;
    this.follows = true;
    this.loading = Promise.resolve();
    this.isLoaded = false;
    this.composer = new Composer({
      send: (text, attachments) => this.send(text, attachments),
      stop: () => stopAnswer(this.conversation.id),
    });
    this.composer.element.addEventListener("attachments", () => this.warn());
    this.list = new ConversationList(this.conversation);
    this.model = h("select", {
      "aria-label": t("model"),
      on: { change: () => this.chooseModel() },
    });
    this.log = h("div", {
      class: "log",
      role: "log",
      "aria-label": t("conversation"),
      "aria-live": "off",
      tabindex: "0",
    });
    this.latest = iconButton("down", t("toLatest"), () => this.scrollDown(), {
      class: "icon-button to-latest",
      hidden: true,
    });
    this.element = this.layout();
  }

  layout() {
    const aside = h(
      "aside",
      { class: "chat-list", "aria-label": t("conversations") },
      h("a", { class: "button primary new-chat", href: "#/chat" }, icon("plus"), t("newChat")),
      this.list.element,
    );
    const toggle = iconButton("list", t("conversations"), () => aside.classList.toggle("open"), {
      class: "icon-button list-toggle",
    });
    this.list.element.addEventListener("click", () => aside.classList.remove("open"));
    const main = h(
      "div",
      { class: "chat-main" },
      h(
        "header",
        { class: "view-head" },
        toggle,
        h("h1", { class: "visually-hidden", tabindex: "-1" }, t("chat")),
        this.model,
        h("span", { class: "spacer" }),
        iconButton("settings", t("chatSettings"), () => this.settings()),
      ),
      h("div", { class: "log-frame" }, this.log, this.latest),
      this.composer.element,
    );
    this.log.addEventListener("scroll", () => this.scrolled());
    main.addEventListener("dragover", (event) => event.preventDefault());
    main.addEventListener("drop", (event) => {
      event.preventDefault();
      this.composer.add([...(event.dataTransfer?.files ?? [])]);
    });
    main.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.defaultPrevented) stopAnswer(this.conversation.id);
    });
    return h("div", { class: "chat-view" }, aside, main);
  }

  async start() {
    onAnswer((id) => this.changed(id), this.signal);
    onOtherTabs(() => this.list.show(), this.signal);
    const timer = setInterval(() => this.tick(), 1000);
    this.signal.addEventListener("abort", () => clearInterval(timer));
    this.showMessages();
    this.loading = this.loadModels();
    await Promise.all([this.list.show(), this.loading]);
    if (matchMedia("(hover: hover)").matches) this.composer.input.focus();
  }

  async loadModels() {
    try {
      this.models = (await installedModels()).filter(canChat);
    } catch (error) {
      this.composer.setWarning(errorText(error));
      return;
    }
    this.isLoaded = true;
    const names = this.models.map(({ name }) => name);
    const { model } = this.conversation;
    const isMissing = model !== "" && !names.includes(model);
    if (!model || (isMissing && this.conversation.messages.length === 0)) {
      this.conversation.model = names.includes(GUIDE) ? GUIDE : (names[0] ?? "");
    } else if (isMissing) {
      names.unshift(model);
    }
    fill(
      this.model,
      ...names.map((name) =>
        h("option", { value: name, selected: name === this.conversation.model }, shortName(name)),
      ),
    );
    this.model.disabled = names.length === 0;
    if (this.conversation.messages.length === 0) this.showMessages();
    this.warn();
  }

  chooseModel() {
    this.conversation.model = this.model.value;
    setPreference("model", this.model.value);
    if (this.conversation.messages.length > 0) saveConversation(this.conversation);
    else this.showMessages();
    this.warn();
  }

  capabilities() {
    return this.models.find(({ name }) => name === this.conversation.model)?.capabilities ?? [];
  }

  /** Tell when the model cannot take a file that is attached. */
  warn() {
    const capabilities = this.capabilities();
    const kinds = this.composer.attachments.map(({ kind }) => kind);
    const model = shortName(this.conversation.model);
    if (kinds.includes("image") && !capabilities.includes("vision"))
      this.composer.setWarning(t("noImages", { model }));
    else if (kinds.includes("audio") && !capabilities.includes("audio"))
      this.composer.setWarning(t("noAudio", { model }));
    else this.composer.setWarning("");
  }

  settings() {
    const { conversation } = this;
    openSettings(conversation.settings, this.capabilities(), () => {
      if (conversation.messages.length > 0) saveConversation(conversation);
    });
  }

  showMessages() {
    const { messages } = this.conversation;
    this.views = messages.map((message, i) => new MessageView(message, this.actions(i)));
    fill(
      this.log,
      ...(messages.length > 0 ? this.views.map((view) => view.element) : [this.welcome()]),
    );
    this.updateAll();
    this.scrollDown();
  }

  welcome() {
    const { model } = this.conversation;
    if (!model && !this.isLoaded) return h("div", { class: "welcome" });
    if (!model && this.models.length === 0) {
      return h(
        "div",
        { class: "welcome" },
        h("h2", null, t("welcome")),
        h("p", null, t("noModels")),
        h("a", { class: "button primary", href: "#/models" }, t("getModel")),
      );
    }
    const suggestions =
      model === GUIDE
        ? [t("suggestion1"), t("suggestion2"), t("suggestion3"), t("suggestion4")]
        : [];
    return h(
      "div",
      { class: "welcome" },
      h("h2", null, t("welcome")),
      h(
        "p",
        null,
        model === GUIDE ? t("welcomeGuide") : t("welcomeModel", { model: shortName(model) }),
      ),
      h(
        "div",
        { class: "suggestions" },
        ...suggestions.map((text) => button(text, () => this.send(text, []))),
      ),
    );
  }

  /** @param {number} index */
  actions(index) {
    return {
      regenerate: () => this.answerFrom(index),
      edit: (/** @type {string} */ text) => {
        const message = this.conversation.messages[index];
        if (!text && !message.attachments?.length) return;
        message.content = text;
        this.answerFrom(index + 1);
      },
      answerCalls: (/** @type {string[]} */ results) => {
        const calls = this.conversation.messages[index].toolCalls ?? [];
        for (const [i, content] of results.entries()) {
          this.conversation.messages.push({
            role: "tool",
            content,
            toolName: calls[i].function.name,
            toolCallId: calls[i].id,
          });
        }
        this.answerFrom(this.conversation.messages.length);
      },
    };
  }

  /**
   * Forget the messages from `index` on, and let the model answer what is left.
   * @param {number} index
   */
  async answerFrom(index) {
    const { conversation } = this;
    if (answering(conversation.id)) return;
    conversation.messages.splice(index);
    const done = answer(conversation);
    this.showMessages();
    this.showAddress();
    await done;
    if (!this.signal.aborted) announce(conversation.messages.at(-1)?.content || t("answerEnded"));
    await this.list.show();
  }

  /** Give a new conversation its address, so that a reload shows it. */
  showAddress() {
    const address = `#/chat/${this.conversation.id}`;
    if (location.hash !== address && !this.signal.aborted) history.replaceState(null, "", address);
    this.list.show();
  }

  /**
   * @param {string} text
   * @param {Attachment[]} attachments
   */
  async send(text, attachments) {
    const { conversation } = this;
    await this.loading; // a message may be sent before it is known which models there are
    if (!conversation.model || answering(conversation.id)) {
      this.composer.restore(text, attachments);
      return;
    }
    conversation.title ||= text.replace(/\s+/g, " ").slice(0, TITLE_LENGTH) || attachments[0].name;
    conversation.messages.push({
      role: "user",
      content: text,
      ...(attachments.length > 0 ? { attachments } : {}),
    });
    await this.answerFrom(conversation.messages.length);
  }

  /** @param {string} id of the conversation whose answer has grown or ended */
  changed(id) {
    if (!answering(id)) this.list.show();
    if (id !== this.conversation.id) return;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.update();
    });
  }

  /** Tell how long the person has been waiting. */
  tick() {
    const run = answering(this.conversation.id);
    if (run && !run.message.content && !run.message.thinking) this.update();
  }

  update() {
    const { messages } = this.conversation;
    const run = answering(this.conversation.id);
    if (this.views.length !== messages.length) this.showMessages();
    const last = this.views.at(-1);
    const waited = run ? (performance.now() - run.started) / 1000 : 0;
    last?.update({ isGrowing: Boolean(run), isLast: true, waited, progress: run?.progress });
    this.setBusy(Boolean(run));
    if (this.follows) this.scrollDown();
  }

  updateAll() {
    const run = answering(this.conversation.id);
    for (const [i, view] of this.views.entries()) {
      const isLast = i === this.views.length - 1;
      view.update({ isGrowing: isLast && Boolean(run), isLast });
    }
    this.setBusy(Boolean(run));
  }

  /** @param {boolean} isBusy */
  setBusy(isBusy) {
    this.composer.setBusy(isBusy);
    this.log.setAttribute("aria-busy", String(isBusy));
  }

  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    this.follows = scrollHeight - scrollTop - clientHeight < 40;
    this.latest.hidden = this.follows;
  }

  scrollDown() {
    this.log.scrollTop = this.log.scrollHeight;
    this.follows = true;
    this.latest.hidden = true;
  }
}
