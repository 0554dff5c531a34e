// DOM elements: the only place that makes them. Text becomes text nodes, never markup.

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {string | number | boolean | null | undefined} AttributeValue */
/**
 * @typedef {Record<string, AttributeValue | EventListener | Record<string, (event: any) => void>>
 *   & {on?: Record<string, (event: any) => void>}} Props
 */

const SVG = "http://www.w3.org/2000/svg";
// Attributes whose value is code or markup; nothing here may set them.
const FORBIDDEN = /^(on|style$|srcdoc$|formaction$|xlink:)/i;

/**
 * Make an HTML element. `props.on` are event listeners, all others are attributes: `true` sets an
 * empty one; `false`, null and undefined none.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props | null} [props]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name === "on") {
      for (const [type, listener] of Object.entries(
        /** @type {Record<string, EventListener>} */ (value),
      )) {
        element.addEventListener(type, listener);
      }
    } else {
      setAttribute(element, name, /** @type {AttributeValue} */ (value));
    }
  }
  append(element, ...children);
  return element;
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {AttributeValue} value
 */
export function setAttribute(element, name, value) {
  if (FORBIDDEN.test(name)) throw new Error(`the attribute ${name} must not be set`);
  if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
}

/**
 * @param {Element | DocumentFragment} parent
 * @param {...(Child | Child[])} children
 */
export function append(parent, ...children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(typeof child === "number" ? String(child) : child);
  }
}

/**
 * Make an SVG element.
 * @param {string} tag
 * @param {Record<string, AttributeValue>} attributes
 * @param {...SVGElement} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes, ...children) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  element.append(...children);
  return element;
}

/**
 * Replace the children of an element.
 * @param {Element} parent
 * @param {...(Child | Child[])} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, ...children);
}

/**
 * Return an id that no other element has.
 * @param {string} prefix
 */
export function uniqueId(prefix) {
  idCount += 1;
  return `${prefix}-${idCount}`;
}
let idCount = 0;
