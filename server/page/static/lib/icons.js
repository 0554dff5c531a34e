// Icons: outlines on a grid of 24, drawn with the colour of the text around them.

import { svg } from "./dom.js";

const PATHS = {
  chat: "M4 5h16v11H9l-5 4z",
  models: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
  now: "M3 12h4l3-8 4 16 3-8h4",
  list: "M4 7h16M4 12h16M4 17h10",
  plus: "M12 5v14M5 12h14",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  check: "M5 12.5l4.5 4.5L19 7",
  close: "M6 6l12 12M18 6L6 18",
  send: "M12 19V5M5.5 11.5L12 5l6.5 6.5",
  stop: "M7 7h10v10H7z",
  repeat: "M4 12a8 8 0 0 1 13.7-5.6L20 9M20 4v5h-5M20 12a8 8 0 0 1-13.7 5.6L4 15M4 20v-5h5",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5",
  attach:
    "M20 11.5l-8 8a5 5 0 0 1-7-7l8.5-8.5a3.4 3.4 0 0 1 4.8 4.8L10 17.1a1.7 1.7 0 0 1-2.4-2.4l7.4-7.4",
  download: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  upload: "M12 15V4M7 8.5l5-5 5 5M5 20h14",
  pause: "M9 6v12M15 6v12",
  play: "M8 5.5v13l10-6.5z",
  key: "M14.5 9.5m-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0M11 13l-7 7M5.5 18.5l2 2",
  search: "M11 11m-6.5 0a6.5 6.5 0 1 0 13 0a6.5 6.5 0 1 0-13 0M16 16l4.5 4.5",
  down: "M12 5v14M5.5 12.5L12 19l6.5-6.5",
  left: "M15 5l-7 7 7 7",
  eject: "M6 14l6-8 6 8zM6 18.5h12",
  tool: "M14.5 6.5a4 4 0 0 1 5-1l-3 3 1 1 3-3a4 4 0 0 1-5.5 5L8 18.5a1.8 1.8 0 0 1-2.5-2.5z",
  light:
    "M12 12m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6L7 7M17 17l1.4 1.4M5.6 18.4L7 17M17 7l1.4-1.4",
  dark: "M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5z",
  auto: "M12 3.5a8.5 8.5 0 1 0 0 17zM12 3.5a8.5 8.5 0 0 1 0 17",
  language:
    "M12 12m-8.5 0a8.5 8.5 0 1 0 17 0a8.5 8.5 0 1 0-17 0M3.5 12h17M12 3.5c5 5 5 12 0 17M12 3.5c-5 5-5 12 0 17",
  sound: "M4 10v4h3l5 4V6l-5 4zM16 9a4 4 0 0 1 0 6M18.5 6.5a8 8 0 0 1 0 11",
  warning: "M12 4l9 16H3zM12 10v4M12 17v.5",
};

/** @typedef {keyof typeof PATHS} IconName */

/**
 * Return an icon. It is hidden from screen readers: the button around it has the name.
 * @param {IconName} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const path = svg("path", { d: PATHS[name] });
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, path);
}
